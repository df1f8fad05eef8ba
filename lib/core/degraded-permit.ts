import { PermitLostError } from '../semaphore.errors.js';
import { validateLease } from '../resolve-options.js';
import type { ReleaseOutcome } from '../store/semaphore-store.js';
import { OwnPermit } from './own-permit.js';
import type { Permit } from './permit.js';
import type { Waiter } from './waiter.js';

/** A permit without the store: nobody can take it away, and nobody else knows of it. */
export class DegradedPermit extends OwnPermit implements Permit {
  readonly key: string;
  readonly id: string;
  readonly weight: number;
  readonly label: string | undefined;
  readonly expiresAt = Infinity;
  readonly fencingToken = 0;
  readonly degraded = true;
  private released: Promise<ReleaseOutcome> | undefined;
  private readonly holdAtLeastMs: number;

  constructor(
    waiter: Waiter,
    readonly acquiredAt: number,
    private readonly onRelease: (holdAtLeastMs: number) => void,
  ) {
    super();
    this.key = waiter.key;
    this.id = waiter.id;
    this.weight = waiter.options.weight;
    this.label = waiter.options.label;
    this.holdAtLeastMs = waiter.options.holdAtLeastMs;
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

  async renew(leaseMs?: number): Promise<void> {
    if (leaseMs !== undefined) validateLease(leaseMs, this.key);
    if (!this.isHeld) throw this.lostError();
  }

  release(): Promise<ReleaseOutcome> {
    return this.giveBack(this.holdAtLeastMs);
  }

  discard(): Promise<ReleaseOutcome> {
    return this.giveBack(0);
  }

  lostError(): PermitLostError {
    return new PermitLostError(this.key, this.id, 'released');
  }

  private giveBack(holdAtLeastMs: number): Promise<ReleaseOutcome> {
    if (this.released === undefined) {
      this.released = Promise.resolve('released');
      this.tellEnd();
      this.onRelease(holdAtLeastMs);
    }
    return this.released;
  }
}
