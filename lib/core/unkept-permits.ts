import { AcquireAbortedError, StoreUnavailableError } from '../semaphore.errors.js';
import type { ResolvedOptions } from '../resolve-options.js';
import type { Grant, Lease, ReleaseOutcome } from '../store/semaphore-store.js';
import type { CoreParts } from './core-parts.js';
import type { Entry } from './entries.js';
import { UnkeptPermit, UnkeptWaiter, type UnkeptGrant } from './unkept-permit.js';
import type { Waiter } from './waiter.js';

/** A permit whose end nobody tells this process is forgotten after so long. */
const FORGET_AFTER_MS = 600_000;

/** The store's times are rounded to milliseconds. */
const ROUNDING_MS = 2;

/**
 * Permits by id: acquired here for somebody outside of this process, who renews and releases them through this process or
 * any other one of the same store. Acquiring again under an id that holds or waits gives the same permit.
 */
export class UnkeptPermits {
  /** Who waits for an earlier cancel of the same id before asking. */
  private readonly early = new Map<string, symbol>();

  constructor(
    private readonly parts: CoreParts,
    private readonly begin: (waiter: Waiter) => void,
    private readonly abort: (waiter: Waiter) => void,
  ) {}

  /**
   * @param id of a caller that uses it for this acquisition only; two calls at the same time must not share one
   * @param options of {@link asUnkept}
   */
  async acquire(key: string, id: string, options: ResolvedOptions): Promise<UnkeptGrant> {
    const { clock, giveBacks } = this.parts;
    const since = clock.now();
    const cancellation = giveBacks.cancellation(id);
    if (cancellation !== undefined) await this.outlast(key, id, cancellation);
    if (giveBacks.isDue(id)) {
      throw new StoreUnavailableError('an earlier call is still being taken back', key);
    }
    const earlier = this.find(id);
    const known = earlier?.fencingToken;
    // The same permit, if it is still held: what is measured of it begins again.
    earlier?.waiter.probe?.ended('released');
    return new Promise((resolve, reject) =>
      this.begin(new UnkeptWaiter(id, key, options, since, known, resolve, reject)),
    );
  }

  /** Waits for an earlier cancel of the same id. @throws {AcquireAbortedError} it was given up meanwhile */
  private async outlast(key: string, id: string, cancellation: Promise<void>): Promise<void> {
    const call = Symbol(id);
    this.early.set(id, call);
    await cancellation;
    // Another call may ask under the id by now.
    if (this.early.get(id) !== call) throw new AcquireAbortedError(key, undefined);
    this.early.delete(id);
  }

  /** Ends the wait of an acquisition, which rejects with AcquireAbortedError. No effect once it is granted. */
  giveUp(id: string): void {
    if (this.early.delete(id)) return;
    const entry = this.parts.entries.get(id);
    if (entry instanceof UnkeptWaiter) this.abort(entry);
  }

  /** The waiter became a holder. */
  hold(waiter: UnkeptWaiter, grant: Grant, now: number): UnkeptPermit {
    const grantedAt = grant.deadline - (grant.expiresAt - grant.acquiredAt);
    const again =
      waiter.knownToken === grant.fencingToken || grantedAt < waiter.since - ROUNDING_MS;
    const permit = new UnkeptPermit(waiter, grant, now, forgetAt(grant.deadline, now));
    this.parts.entries.set(permit.id, permit);
    this.parts.alarm.expect(permit);
    const { fencingToken, expiresAt } = grant;
    waiter.handOver({ fencingToken, expiresAt, again });
    return permit;
  }

  async renew(key: string, id: string, leaseMs: number): Promise<Lease | null> {
    const lease = await this.parts.session.renew(key, id, leaseMs);
    const permit = this.find(id);
    if (lease === null) {
      if (permit) this.lose(permit, 'expired');
    } else if (permit) {
      permit.wakeAt = forgetAt(lease.deadline, this.parts.clock.now());
      this.parts.alarm.expect(permit);
      this.parts.reporter.renewed(permit, lease.expiresAt);
    }
    return lease;
  }

  async release(key: string, id: string, holdAtLeastMs: number): Promise<ReleaseOutcome> {
    const released = this.parts.session.release(key, id, holdAtLeastMs);
    const permit = this.find(id);
    if (permit === undefined) return released;
    const outcome = released.then(
      (known) => (this.find(id) === permit ? this.ended(permit, known) : undefined),
      () => undefined,
    );
    this.parts.reporter.releasing(permit, outcome);
    await outcome;
    return released;
  }

  /** Takes back what nobody received: tried until it succeeded, and not when it was asked for again elsewhere. */
  takeBack(key: string, id: string): void {
    this.reportReleased(id, 'released');
    this.parts.giveBacks.cancel(key, id);
  }

  /** Nobody has told what became of it. */
  expire(permit: UnkeptPermit, now: number): void {
    if (now >= permit.wakeAt) this.reportReleased(permit.id, 'expired');
  }

  lose(permit: UnkeptPermit, reason: 'expired' | 'forced'): void {
    this.forget(permit);
    permit.waiter.probe?.ended(reason);
    this.parts.reporter.lost(permit, reason);
  }

  private reportReleased(id: string, outcome: ReleaseOutcome): void {
    const permit = this.find(id);
    if (permit === undefined) return;
    this.parts.reporter.released(permit, this.ended(permit, outcome));
  }

  private ended(permit: UnkeptPermit, outcome: ReleaseOutcome): ReleaseOutcome {
    this.forget(permit);
    permit.waiter.probe?.ended(outcome);
    return outcome;
  }

  private find(id: string): UnkeptPermit | undefined {
    const entry: Entry | undefined = this.parts.entries.get(id);
    return entry instanceof UnkeptPermit ? entry : undefined;
  }

  private forget(permit: UnkeptPermit): void {
    permit.wakeAt = Infinity;
    this.parts.entries.delete(permit.id);
  }
}

/** Without what only a holder in this process could do. */
export function asUnkept(options: ResolvedOptions): ResolvedOptions {
  return { ...options, renew: false, reentrant: false, onStoreFailure: 'reject', localPasses: 0 };
}

function forgetAt(deadline: number, now: number): number {
  return Math.min(deadline, now + FORGET_AFTER_MS);
}
