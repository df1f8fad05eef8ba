import { type ResolvedOptions, validateKey, validateLease } from '../resolve-options.js';
import {
  AcquireAbortedError,
  type LostReason,
  SemaphoreClosedError,
  StoreUnavailableError,
} from '../semaphore.errors.js';
import type { Grant, Lease, ReleaseOutcome } from '../store/semaphore-store.js';
import type { CoreParts } from './core-parts.js';
import type { Entry } from './entries.js';
import { safely } from './lease-times.js';
import { UnkeptPermit, UnkeptWaiter, type UnkeptGrant } from './unkept-permit.js';
import type { Waiter } from './waiter.js';

/** A permit whose end nobody tells this process is forgotten after so long. */
const FORGET_AFTER_MS = 600_000;

/** The store's times are rounded to milliseconds. */
const ROUNDING_MS = 2;

interface PermitsByIdParts extends CoreParts {
  begin: (waiter: Waiter) => void;
  giveUp: (waiter: Waiter, reason: GivenUp, error: Error) => void;
  isClosed: () => boolean;
}

/** Why a wait is ended: its caller is gone, or who waits on behalf of others closes. */
type GivenUp = 'aborted' | 'closed';

/**
 * Permits for somebody outside of this process, such as the clients of a lock server: nothing renews them, and any process
 * of the same store renews and releases them by key and id.
 */
export class PermitsById {
  /** Who waits for an earlier cancel of the same id before asking. */
  private readonly early = new Map<string, (reason: GivenUp) => void>();
  private readonly forcedListeners = new Set<(key: string, id: string) => void>();

  constructor(private readonly parts: PermitsByIdParts) {}

  /**
   * @param id of this acquisition only, 1 to 64 characters of `[A-Za-z0-9_-]`; the same id again gives the same permit.
   *   Not to be called twice at the same time with one id
   * @param options of {@link asUnkept}
   * @throws as `SemaphoreService.acquire()`
   */
  async acquire(key: string, id: string, options: ResolvedOptions): Promise<UnkeptGrant> {
    validateKey(key);
    const { clock, giveBacks } = this.parts;
    const since = clock.now();
    const cancellation = giveBacks.cancellation(id);
    if (cancellation !== undefined) await this.outlast(key, id, cancellation);
    if (giveBacks.isDue(id)) {
      throw new StoreUnavailableError('an earlier call is still being taken back', key);
    }
    const earlier = this.find(key, id);
    const known = earlier?.fencingToken;
    // The same permit, if it is still held: what is measured of it begins again, and its end is another one.
    if (earlier !== undefined) {
      earlier.waiter.probe?.ended('released');
      earlier.wakeAt = Infinity;
    }
    return new Promise((resolve, reject) =>
      this.parts.begin(new UnkeptWaiter(id, key, options, since, known, resolve, reject)),
    );
  }

  /**
   * Notes something in the store that other processes find by `inspect(key)`, as a holder whose label is the text.
   * It ends with its lease, as a permit does; but it is none: nobody hears of it, and it is not measured.
   * @throws {StoreUnavailableError} it may be noted all the same
   */
  async note(key: string, id: string, text: string, leaseMs: number): Promise<void> {
    this.requireOpen(key);
    const limits = { permits: Number.MAX_SAFE_INTEGER, weight: 1, priority: 0 };
    const wish = { key, id, ...limits, leaseMs, wait: false, maxWaiting: 0, label: text };
    const { status } = await this.parts.session.acquire(wish);
    if (status !== 'granted') throw new StoreUnavailableError('a note was refused', key);
  }

  /**
   * Settles when the store has answered what it was asked under the id, or will not be: who gives up before, takes back
   * what another process may have been granted under it.
   */
  answered(id: string): Promise<void> | undefined {
    const entry = this.parts.entries.get(id);
    return entry instanceof UnkeptWaiter && entry.state === 'asking' ? entry.told : undefined;
  }

  /**
   * Ends the wait of an acquisition, which rejects with AcquireAbortedError, or with SemaphoreClosedError. No effect once it
   * is granted.
   */
  giveUp(id: string, reason: GivenUp = 'aborted'): void {
    const end = this.early.get(id);
    if (end !== undefined) return end(reason);
    const entry = this.parts.entries.get(id);
    if (entry instanceof UnkeptWaiter) {
      this.parts.giveUp(entry, reason, givenUpError(entry.key, reason));
    }
  }

  /** @returns null when the permit is not held any more @throws {StoreUnavailableError} */
  renew(key: string, id: string, leaseMs: number): Promise<Lease | null> {
    return this.prolong(key, id, leaseMs, false);
  }

  /**
   * As {@link renew}, of a permit that is nobody's now, unless somebody comes for it, who may do so in another process:
   * when its lease ends nothing is lost.
   */
  leave(key: string, id: string, leaseMs: number): Promise<Lease | null> {
    return this.prolong(key, id, leaseMs, true);
  }

  private async prolong(
    key: string,
    id: string,
    leaseMs: number,
    isLeft: boolean,
  ): Promise<Lease | null> {
    validateLease(leaseMs, key);
    this.requireOpen(key);
    const known = this.find(key, id);
    if (known) known.isLeft = isLeft;
    const lease = await this.parts.session.renew(key, id, leaseMs);
    const permit = this.find(key, id);
    if (lease === null) {
      if (permit) this.lose(permit, 'expired');
    } else if (permit) {
      this.expectEnd(permit, lease.deadline);
      this.parts.reporter.renewed(permit, lease.expiresAt);
    }
    return lease;
  }

  /** @throws {StoreUnavailableError} */
  async release(key: string, id: string, holdAtLeastMs = 0): Promise<ReleaseOutcome> {
    this.requireOpen(key);
    const released = this.parts.session.release(key, id, holdAtLeastMs);
    const permit = this.find(key, id);
    if (permit === undefined) return released;
    permit.isLeft = true;
    const outcome = released.then(
      (known) => (this.find(key, id) === permit ? this.ended(permit, known) : undefined),
      () => undefined,
    );
    this.parts.reporter.releasing(permit, outcome);
    await outcome;
    return released;
  }

  /** Releases what nobody received, in the background and until it succeeded; not what another process was asked for since. */
  takeBack(key: string, id: string): void {
    const permit = this.find(key, id);
    if (permit) this.parts.reporter.released(permit, this.ended(permit, 'released'));
    this.parts.giveBacks.cancel(key, id);
  }

  /** The waiter became a holder. */
  hold(waiter: UnkeptWaiter, grant: Grant, now: number): UnkeptPermit {
    const grantedAt = grant.deadline - (grant.expiresAt - grant.acquiredAt);
    // Who waited asks twice: its second answer tells of its own grant.
    const wasHeld = grant.again === true && waiter.asked === 1;
    const isKnown = waiter.knownToken === grant.fencingToken;
    const again = wasHeld || isKnown || grantedAt < waiter.since - ROUNDING_MS;
    const permit = new UnkeptPermit(waiter, grant, now);
    this.parts.entries.set(permit.id, permit);
    const { fencingToken, expiresAt, deadline } = grant;
    this.expectEnd(permit, deadline);
    waiter.handOver({ weight: permit.weight, fencingToken, expiresAt, deadline, again });
    return permit;
  }

  /** Calls `listener` when this process hears that a permit was released by force. @returns what stops it */
  onForced(listener: (key: string, id: string) => void): () => void {
    this.forcedListeners.add(listener);
    return () => void this.forcedListeners.delete(listener);
  }

  /** Nobody has told what became of it: by the clock here its lease is over, or it is known for too long. */
  expire(permit: UnkeptPermit, now: number): void {
    const isOver = now >= permit.deadline;
    if (isOver && !permit.isLeft) return this.lose(permit, 'expired');
    this.ended(permit, 'released');
    // Otherwise it may still be held: nothing has happened that could be told.
    if (isOver) this.parts.reporter.released(permit, 'expired');
  }

  lose(permit: UnkeptPermit, reason: LostReason): void {
    this.forget(permit);
    permit.waiter.probe?.ended(reason);
    this.parts.reporter.lost(permit, reason);
    if (reason !== 'forced') return;
    for (const listener of this.forcedListeners) listener(permit.key, permit.id);
  }

  /** Waits for an earlier cancel of the same id. @throws as {@link giveUp} says */
  private outlast(key: string, id: string, cancellation: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (reason?: GivenUp): void => {
        // Another call may ask under the id by now.
        if (this.early.get(id) === settle) this.early.delete(id);
        if (reason === undefined) resolve();
        else reject(givenUpError(key, reason));
      };
      this.early.set(id, settle);
      void cancellation.then(() => settle());
    });
  }

  private ended(permit: UnkeptPermit, outcome: ReleaseOutcome): ReleaseOutcome {
    this.forget(permit);
    permit.waiter.probe?.ended(outcome);
    return outcome;
  }

  private expectEnd(permit: UnkeptPermit, deadline: number): void {
    const { clock, alarm } = this.parts;
    const now = clock.now();
    permit.deadline = safely(deadline, now, clock);
    permit.wakeAt = Math.min(permit.deadline, now + FORGET_AFTER_MS);
    alarm.expect(permit);
  }

  private requireOpen(key: string): void {
    if (this.parts.isClosed()) throw new SemaphoreClosedError(key);
  }

  /** Whoever names another key has only guessed the id: nothing becomes of the permit. */
  private find(key: string, id: string): UnkeptPermit | undefined {
    const entry: Entry | undefined = this.parts.entries.get(id);
    return entry instanceof UnkeptPermit && entry.key === key ? entry : undefined;
  }

  private forget(permit: UnkeptPermit): void {
    permit.wakeAt = Infinity;
    this.parts.entries.delete(permit.id);
  }
}

function givenUpError(key: string, reason: GivenUp): Error {
  return reason === 'closed'
    ? new SemaphoreClosedError(key)
    : new AcquireAbortedError(key, undefined);
}

/** The options without what only a holder in this process could do. */
export function asUnkept(options: ResolvedOptions): ResolvedOptions {
  return { ...options, renew: false, reentrant: false, onStoreFailure: 'reject', localPasses: 0 };
}
