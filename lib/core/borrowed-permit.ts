import type { ResolvedOptions } from '../resolve-options.js';
import { AcquireAbortedError, PermitLostError } from '../semaphore.errors.js';
import type { ReleaseOutcome } from '../store/semaphore-store.js';
import { isOwn } from './own-permit.js';
import type { Permit } from './permit.js';

/** A permit that is held already, for one who asks for it with these options. @throws {AcquireAbortedError} */
export async function borrow(permit: Permit, { signal }: ResolvedOptions): Promise<Permit> {
  if (signal?.aborted === true) throw new AcquireAbortedError(permit.key, signal.reason);
  return new BorrowedPermit(permit);
}

/**
 * A permit that the async context holds already: its own holder releases it, the borrower only gives it up. To a borrower
 * that has not, it is lost with that release.
 */
export class BorrowedPermit implements Permit {
  private readonly permit: Permit;
  private isReturned = false;
  private controller: AbortController | undefined;
  private stopWatching: (() => void) | undefined;

  constructor(permit: Permit) {
    this.permit = permit instanceof BorrowedPermit ? permit.permit : permit;
  }

  get key(): string {
    return this.permit.key;
  }

  get keys(): readonly string[] {
    return this.permit.keys;
  }

  get id(): string {
    return this.permit.id;
  }

  get weight(): number {
    return this.permit.weight;
  }

  get label(): string | undefined {
    return this.permit.label;
  }

  get acquiredAt(): number {
    return this.permit.acquiredAt;
  }

  get expiresAt(): number {
    return this.permit.expiresAt;
  }

  get remainingMs(): number {
    return this.isReturned ? 0 : this.permit.remainingMs;
  }

  get isHeld(): boolean {
    return !this.isReturned && this.permit.isHeld;
  }

  get fencingToken(): number {
    return this.permit.fencingToken;
  }

  get fencingTokens(): ReadonlyMap<string, number> {
    return this.permit.fencingTokens;
  }

  get degraded(): boolean {
    return this.permit.degraded;
  }

  get signal(): AbortSignal {
    return (this.controller ??= this.watch()).signal;
  }

  async renew(leaseMs?: number): Promise<void> {
    if (this.isReturned) throw new PermitLostError(this.key, this.id, 'released');
    await this.permit.renew(leaseMs);
  }

  async release(): Promise<ReleaseOutcome> {
    if (!this.isReturned && !this.permit.isHeld) return 'expired';
    this.isReturned = true;
    this.stopWatching?.();
    return 'released';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  private watch(): AbortController {
    const controller = new AbortController();
    const ending = isOwn(this.permit) ? this.permit.ending : this.permit.signal;
    const abort = (): void => controller.abort(ending.reason);
    if (this.isReturned) return controller;
    if (ending.aborted) abort();
    else ending.addEventListener('abort', abort, { once: true });
    this.stopWatching = () => ending.removeEventListener('abort', abort);
    return controller;
  }
}
