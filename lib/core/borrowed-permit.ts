import type { ResolvedOptions } from '../resolve-options.js';
import { AcquireAbortedError, PermitLostError } from '../semaphore.errors.js';
import type { CancelSignal } from '../cancel/cancel-signal.js';
import type { ReleaseOutcome } from '../store/semaphore-store.js';
import { OwnPermit } from './own-permit.js';
import type { Permit } from './permit.js';
import { PermitBase } from './permit-base.js';

/** The signals that those who borrowed for use share, each by what tells the end of its permit. */
const sharedSignals = new WeakMap<CancelSignal, AbortSignal>();

/** A permit that is held already, for one who asks for it with these options. @throws {AcquireAbortedError} */
export async function borrow(permit: Permit, options: ResolvedOptions): Promise<Permit> {
  return lend(permit, options, false);
}

/**
 * As {@link borrow}, for those who may be many and never give it up: they share one signal, which tells the end of the
 * permit also to a listener whose borrower has given it up.
 */
export async function borrowForUse(permit: Permit, options: ResolvedOptions): Promise<Permit> {
  return lend(permit, options, true);
}

function lend(permit: Permit, { signal }: ResolvedOptions, sharesSignal: boolean): Permit {
  if (signal?.aborted === true) throw new AcquireAbortedError(permit.key, signal.reason);
  return new BorrowedPermit(permit, sharesSignal);
}

/**
 * A permit that the async context holds already: its own holder releases it, the borrower only gives it up. To a borrower
 * that has not, it is lost with that release.
 */
class BorrowedPermit extends PermitBase implements Permit {
  private readonly permit: Permit;
  private isReturned = false;
  private ownSignal: AbortSignal | undefined;
  private stopWatching: (() => void) | undefined;

  constructor(
    permit: Permit,
    private readonly sharesSignal: boolean,
  ) {
    super();
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
    return (this.ownSignal ??= this.watch());
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

  private watch(): AbortSignal {
    if (this.isReturned) return new AbortController().signal;
    const { permit } = this;
    const ending = permit instanceof OwnPermit ? permit.ending : permit.signal;
    if (this.sharesSignal) return sharedSignalOf(ending);
    const { signal, stop } = follow(ending);
    this.stopWatching = stop;
    return signal;
  }
}

function sharedSignalOf(ending: CancelSignal): AbortSignal {
  const known = sharedSignals.get(ending);
  if (known !== undefined) return known;
  const { signal } = follow(ending);
  sharedSignals.set(ending, signal);
  return signal;
}

function follow(ending: CancelSignal): { signal: AbortSignal; stop: () => void } {
  const controller = new AbortController();
  const abort = (): void => controller.abort(ending.reason);
  if (ending.aborted) abort();
  else ending.addEventListener('abort', abort, { once: true });
  return {
    signal: controller.signal,
    stop: () => ending.removeEventListener('abort', abort),
  };
}
