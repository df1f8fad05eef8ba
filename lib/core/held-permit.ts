import { type LostReason, PermitLostError } from '../semaphore.errors.js';
import type { ResolvedOptions } from '../resolve-options.js';
import type { Grant, ReleaseOutcome } from '../store/semaphore-store.js';
import type { AcquisitionProbe } from './acquisition-probe.js';
import type { Timed } from './alarm.js';
import { OwnPermit } from './own-permit.js';
import type { Permit } from './permit.js';
import type { Waiter } from './waiter.js';

/** What a permit needs of its keeper. */
export interface PermitKeeper {
  now(): number;
  /** @param isSilent it is no event */
  renew(permit: HeldPermit, leaseMs: number, isSilent?: boolean): Promise<void>;
  release(permit: HeldPermit, holdAtLeastMs: number): Promise<ReleaseOutcome>;
  /** Takes note that the lease has ended. */
  lose(permit: HeldPermit, reason: LostReason): void;
}

/** A permit of the store. What is part of neither {@link Permit} nor {@link OwnPermit} is the keeper's. */
export class HeldPermit extends OwnPermit implements Permit, Timed {
  readonly key: string;
  readonly weight: number;
  readonly acquiredAt: number;
  readonly fencingToken: number;
  readonly degraded = false;
  options: ResolvedOptions;
  /** Since when `maxHoldMs` counts. */
  keptSince: number;
  expiresAt: number;

  /** Why it is held no more. */
  over: 'released' | LostReason | undefined;
  /** Until then it is certainly held, by the store's clock. */
  deadline: number;
  provisional: boolean;
  renewAt = Infinity;
  /** How many renewals were sent: only the reply to the last one counts. */
  renewals = 0;
  /** Its holder renewed it for another time than the options say. */
  hasOtherLease = false;
  /** How often it was passed on within this process, and since when the store has granted it. */
  passes = 0;
  grantedSince: number;
  /** The limit when it was granted. */
  readonly permits: number;

  readonly #keeper: PermitKeeper;
  readonly #probe: AcquisitionProbe | undefined;
  #onLost: ((error: PermitLostError) => void) | undefined;
  private releasing: Promise<ReleaseOutcome> | undefined;

  constructor(
    waiter: Waiter,
    readonly id: string,
    grant: Grant,
    readonly heldSince: number,
    deadline: number,
    keeper: PermitKeeper,
  ) {
    super();
    this.#keeper = keeper;
    this.#probe = waiter.probe;
    this.key = waiter.key;
    this.options = waiter.options;
    // Who asked for more than a limit that was lowered has all there is.
    this.weight = Math.min(waiter.options.weight, grant.permits);
    this.acquiredAt = grant.acquiredAt;
    this.fencingToken = grant.fencingToken;
    this.expiresAt = grant.expiresAt;
    this.provisional = grant.provisional;
    this.deadline = deadline;
    this.keptSince = heldSince;
    this.grantedSince = heldSince;
    this.permits = grant.permits;
  }

  get label(): string | undefined {
    return this.options.label;
  }

  /** When its keeper has to look after it. */
  get wakeAt(): number {
    return this.over === undefined ? Math.min(this.deadline, this.renewAt) : Infinity;
  }

  /** The timer may not have fired yet, when the event loop was blocked. */
  get isHeld(): boolean {
    return this.isHeldAt(this.#keeper.now());
  }

  /** @param now by the keeper's clock */
  isHeldAt(now: number): boolean {
    if (this.over !== undefined) return false;
    if (now < this.deadline) return true;
    this.#keeper.lose(this, 'expired');
    return false;
  }

  get remainingMs(): number {
    return this.isHeld ? Math.max(0, this.deadline - this.#keeper.now()) : 0;
  }

  get signal(): AbortSignal {
    const isLost = !this.isHeld && this.over !== 'released';
    this.controller ??= new AbortController();
    if (isLost && !this.controller.signal.aborted) this.controller.abort(this.lostError());
    return this.controller.signal;
  }

  async renew(leaseMs = this.options.leaseMs): Promise<void> {
    return this.#keeper.renew(this, leaseMs);
  }

  release(): Promise<ReleaseOutcome> {
    return (this.releasing ??= this.#keeper.release(this, this.options.holdAtLeastMs));
  }

  discard(): Promise<ReleaseOutcome> {
    return (this.releasing ??= this.#keeper.release(this, 0));
  }

  /** Begins its time anew, by these options: it was taken before it was of use. */
  restart(options: ResolvedOptions): Promise<void> {
    this.options = options;
    this.keptSince = this.#keeper.now();
    return this.#keeper.renew(this, options.leaseMs, true);
  }

  /** It is held no more. */
  end(how: NonNullable<HeldPermit['over']>): void {
    this.over = how;
    this.#probe?.ended(how);
    this.tellEnd();
  }

  /** Calls the only listener when it is lost; for the inside, where a signal would cost too much. */
  watchLoss(listener: ((error: PermitLostError) => void) | undefined): void {
    this.#onLost = listener;
    if (!this.isHeld) listener?.(this.lostError());
  }

  /** Tells whoever works under the permit that it was lost. */
  abort(): void {
    this.controller?.abort(this.lostError());
    this.#onLost?.(this.lostError());
  }

  lostError(): PermitLostError {
    return new PermitLostError(this.key, this.id, this.over ?? 'expired');
  }
}

/** Calls the only listener when the permit is lost: one without the store never is. @returns what ends the watch */
export function whenLost(permit: Permit, listener: (error: PermitLostError) => void): () => void {
  if (!(permit instanceof HeldPermit)) return () => undefined;
  permit.watchLoss(listener);
  return () => permit.watchLoss(undefined);
}
