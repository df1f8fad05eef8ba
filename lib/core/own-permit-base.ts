import { PermitLostError } from '../semaphore.errors.js';
import type { CancelSignal } from '../cancel/cancel-signal.js';
import { CancelSource } from '../cancel/cancel-source.js';
import type { ReleaseOutcome } from '../store/semaphore-store.js';
import { PermitBase } from './permit-base.js';

/** What permits that were granted to this process have in common: one key, and how those who work under it hear of its end. */
export abstract class OwnPermitBase extends PermitBase {
  abstract readonly key: string;
  abstract readonly id: string;
  abstract readonly fencingToken: number;
  protected controller: AbortController | undefined;
  #ending: CancelSource | undefined;

  abstract get isHeld(): boolean;

  abstract release(): Promise<ReleaseOutcome>;

  /** Why it is held no more. */
  abstract lostError(): PermitLostError;

  get keys(): readonly string[] {
    return [this.key];
  }

  get fencingTokens(): ReadonlyMap<string, number> {
    return new Map([[this.key, this.fencingToken]]);
  }

  get ending(): CancelSignal {
    this.#ending ??= new CancelSource();
    if (!this.isHeld) this.#ending.abort(this.lostError());
    return this.#ending;
  }

  revoke(): Promise<ReleaseOutcome> {
    if (this.isHeld) {
      this.controller ??= new AbortController();
      this.controller.abort(new PermitLostError(this.key, this.id, 'released'));
    }
    return this.release();
  }

  /** It is held no more. */
  protected tellEnd(): void {
    this.#ending?.abort(this.lostError());
  }
}
