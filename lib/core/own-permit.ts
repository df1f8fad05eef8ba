import { PermitLostError } from '../semaphore.errors.js';
import type { CancelSignal } from '../cancel/cancel-signal.js';
import { CancelSource } from '../cancel/cancel-source.js';
import type { ReleaseOutcome } from '../store/semaphore-store.js';
import { PermitBase } from './permit-base.js';

/** A permit of one key that was granted to this process, and is not borrowed from another part of the work. */
export abstract class OwnPermit extends PermitBase {
  abstract readonly key: string;
  abstract readonly id: string;
  abstract readonly fencingToken: number;
  protected controller: AbortController | undefined;
  #ending: CancelSource | undefined;

  abstract get isHeld(): boolean;

  abstract release(): Promise<ReleaseOutcome>;

  /** Releases what nobody got to see: it does not stay taken for `holdAtLeastMs`. */
  abstract discard(): Promise<ReleaseOutcome>;

  /** Why it is held no more. */
  abstract lostError(): PermitLostError;

  get keys(): readonly string[] {
    return [this.key];
  }

  get fencingTokens(): ReadonlyMap<string, number> {
    return new Map([[this.key, this.fencingToken]]);
  }

  /**
   * Aborted when it is held no more, released or lost, before anybody else can have it: for those who work under it and
   * do not hold it. Its reason is a PermitLostError.
   */
  get ending(): CancelSignal {
    this.#ending ??= new CancelSource();
    if (!this.isHeld) this.#ending.abort(this.lostError());
    return this.#ending;
  }

  /** Releases it although work under it may go on: `signal` says so first. */
  revoke(): Promise<ReleaseOutcome> {
    if (this.isHeld) {
      this.controller ??= new AbortController();
      this.controller.abort(new PermitLostError(this.key, this.id, 'released'));
    }
    return this.release();
  }

  /** Tells those who work under it that it is held no more. */
  protected tellEnd(): void {
    this.#ending?.abort(this.lostError());
  }
}
