import { PermitLostError } from '../semaphore.errors.js';
import { validateLease } from '../resolve-options.js';
import type { ReleaseOutcome } from '../store/semaphore-store.js';
import type { CancelSignal } from '../cancel/cancel-signal.js';
import { CancelSource } from '../cancel/cancel-source.js';
import type { OwnPermit } from './own-permit.js';
import { PermitBase } from './permit-base.js';
import type { Waiter } from './waiter.js';

/** A permit without the store: nobody can take it away, and nobody else knows of it. */
export class DegradedPermit extends PermitBase implements OwnPermit {
  readonly key: string;
  readonly id: string;
  readonly weight: number;
  readonly label: string | undefined;
  readonly expiresAt = Infinity;
  readonly fencingToken = 0;
  readonly degraded = true;
  private controller: AbortController | undefined;
  #ending: CancelSource | undefined;
  private released: Promise<ReleaseOutcome> | undefined;

  constructor(
    waiter: Waiter,
    readonly acquiredAt: number,
    private readonly onRelease: () => void,
  ) {
    super();
    this.key = waiter.key;
    this.id = waiter.id;
    this.weight = waiter.options.weight;
    this.label = waiter.options.label;
  }

  get keys(): readonly string[] {
    return [this.key];
  }

  get fencingTokens(): ReadonlyMap<string, number> {
    return new Map([[this.key, 0]]);
  }

  get isHeld(): boolean {
    return this.released === undefined;
  }

  get remainingMs(): number {
    return this.isHeld ? Infinity : 0;
  }

  get signal(): AbortSignal {
    return (this.controller ??= new AbortController()).signal;
  }

  get ending(): CancelSignal {
    this.#ending ??= new CancelSource();
    if (!this.isHeld) this.#ending.abort(this.releasedError());
    return this.#ending;
  }

  async renew(leaseMs?: number): Promise<void> {
    if (leaseMs !== undefined) validateLease(leaseMs, this.key);
    if (!this.isHeld) throw this.releasedError();
  }

  release(): Promise<ReleaseOutcome> {
    if (this.released === undefined) {
      this.released = Promise.resolve('released');
      this.#ending?.abort(this.releasedError());
      this.onRelease();
    }
    return this.released;
  }

  revoke(): Promise<ReleaseOutcome> {
    if (this.isHeld) {
      this.controller ??= new AbortController();
      this.controller.abort(this.releasedError());
    }
    return this.release();
  }

  private releasedError(): PermitLostError {
    return new PermitLostError(this.key, this.id, 'released');
  }
}
