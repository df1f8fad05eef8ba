import {
  AcquireAbortedError,
  asStoreError,
  isNothingDone,
  PermitLostError,
  SemaphoreClosedError,
  SemaphoreError,
  StoreUnavailableError,
} from '../semaphore.errors.js';
import type { RejectedReason } from '../semaphore.events.js';
import type { ResolvedOptions } from '../resolve-options.js';
import type { AcquireReply, Grant } from '../store/semaphore-store.js';
import type { CancelSignal } from '../cancel/cancel-signal.js';
import type { Acquired, Probes } from './acquisition-probe.js';
import type { CoreParts } from './core-parts.js';
import { DegradedPermit } from './degraded-permit.js';
import type { HeldPermit } from './held-permit.js';
import type { LeaseKeeper } from './lease-keeper.js';
import { isKeptAlive } from './lease-times.js';
import type { LocalPasses, Place } from './local-passes.js';
import { LocalPermits } from './local-permits.js';
import { onAbort } from '../cancel/on-abort.js';
import type { Permit } from './permit.js';
import { PermitIds } from './permit-ids.js';
import type { PermitsById } from './permits-by-id.js';
import { UnkeptWaiter } from './unkept-permit.js';
import { Waiter } from './waiter.js';

/** A grant that came too late is asked for again: not for ever, as a lease may be shorter than the way to the store. */
const MAX_ASKED = 3;

interface AcquisitionsParts extends CoreParts {
  passes: LocalPasses;
  keeper: LeaseKeeper;
  permitsById: PermitsById;
  probes: Probes | undefined;
}

/**
 * Acquisitions from their beginning to their end. Each is registered under its id before the store hears of it, because
 * its grant may be faster than the reply. It ends as a permit, or with an error; then the store is made to forget the id,
 * unless it said itself that it knows nothing of it.
 */
export class Acquisitions {
  private readonly ids = new PermitIds();
  private readonly local: LocalPermits;
  private isClosed = false;

  constructor(private readonly parts: AcquisitionsParts) {
    this.local = new LocalPermits(
      (key) => parts.entries.weightHeld(key),
      (waiter) => this.degrade(waiter, (freeAt) => this.releaseLocally(waiter, freeAt)),
    );
  }

  /** @param since when the caller asked: `waitMs` counts from here */
  acquire(key: string, options: ResolvedOptions, since: number): Promise<Permit> {
    return new Promise((resolve, reject) => {
      const place = this.placeOf(key, options);
      const id = place?.id ?? this.ids.next();
      const waiter = new Waiter(id, key, options, since, resolve, reject);
      if (place !== undefined) waiter.placedAt = place.takenAt;
      this.begin(waiter, place !== undefined);
    });
  }

  /** @param hasPlace in the store's queue, which a waiter of this process has left */
  begin(waiter: Waiter, hasPlace = false): void {
    const { key, options } = waiter;
    const { signal } = options;
    waiter.probe = this.parts.probes?.start(options);
    if (this.isClosed) {
      this.refuse(waiter, 'closed', new SemaphoreClosedError(key));
    } else if (signal?.aborted) {
      this.refuse(waiter, 'aborted', new AcquireAbortedError(key, signal.reason));
    } else {
      this.parts.entries.set(waiter.id, waiter);
      if (signal) this.listen(waiter, signal);
      if (hasPlace) this.enqueue(waiter, 'waiting');
      else this.ask(waiter);
    }
  }

  granted(key: string, id: string, grant: Grant): void {
    const entry = this.parts.entries.get(id);
    if (entry === undefined) this.takeBack(key, id);
    else if (entry instanceof Waiter) this.take(this.inTurn(entry), grant);
  }

  failed(key: string, id: string, error: Error): void {
    const entry = this.parts.entries.get(id);
    if (entry === undefined) this.takeBack(key, id);
    else if (entry instanceof Waiter) this.doWithoutStore(entry, error);
  }

  admit(waiter: Waiter, permit: HeldPermit): void {
    if (waiter.id !== permit.id) this.parts.entries.delete(waiter.id);
    this.settle(waiter);
    waiter.resolve(permit);
    this.reportAcquired(waiter, permit);
  }

  /** A permit of the store is held no more: who waits for it in this process only may have it. */
  freed(key: string): void {
    this.local.serve(key);
  }

  /** Ends the wait of somebody for whom the store may still do, or have done, something. */
  giveUp(waiter: Waiter, reason: RejectedReason, error: Error): void {
    const isLocal = waiter.state === 'local';
    this.refuse(waiter, reason, error);
    if (isLocal) this.local.leave(waiter);
    else this.parts.giveBacks.cancel(waiter.key, waiter.id);
  }

  stopWaitingForStore(error: Error): void {
    this.parts.passes.abandon();
    for (const entry of this.parts.entries.values()) {
      if (entry instanceof Waiter && entry.state === 'waiting') this.doWithoutStore(entry, error);
    }
  }

  /** The store is there again. */
  returnToStore(): void {
    for (const key of this.local.inUse) this.askAgain(key);
  }

  /** Takes no new ones, and sends everybody away who waits. @returns whether anybody did */
  close(): boolean {
    if (this.isClosed) return false;
    this.isClosed = true;
    this.local.close();
    this.parts.passes.abandon();
    let hasWaited = false;
    for (const entry of this.parts.entries.values()) {
      if (entry instanceof Waiter && entry.state !== 'over') {
        hasWaited = true;
        this.giveUp(entry, 'closed', new SemaphoreClosedError(entry.key));
      }
    }
    return hasWaited;
  }

  /** A place in the queue that was left by a waiter of this process. */
  private placeOf(key: string, options: ResolvedOptions): Place | undefined {
    if (options.localPasses === 0 || options.waitMs === 0) return undefined;
    if (this.isClosed || options.signal?.aborted) return undefined;
    return this.parts.passes.adopt(key, options);
  }

  /** Who is to have what the store grants to this one: the two change places. */
  private inTurn(waiter: Waiter): Waiter {
    if (waiter.options.localPasses === 0) return waiter;
    const first = this.parts.passes.firstLike(waiter);
    if (first !== waiter) {
      [first.id, waiter.id] = [waiter.id, first.id];
      [first.placedAt, waiter.placedAt] = [waiter.placedAt, first.placedAt];
      this.parts.entries.set(first.id, first);
      this.parts.entries.set(waiter.id, waiter);
    }
    return first;
  }

  private listen(waiter: Waiter, signal: CancelSignal): void {
    waiter.stopListening = onAbort(signal, () =>
      this.giveUp(waiter, 'aborted', new AcquireAbortedError(waiter.key, signal.reason)),
    );
  }

  private ask(waiter: Waiter, request = waiter.request()): void {
    // Its place is not certain until the answer is there.
    if (waiter.asked > 0) this.parts.passes.remove(waiter);
    waiter.state = 'asking';
    waiter.asked++;
    const { id, key } = waiter;
    const failed = (error: unknown): void => {
      if (waiter.id === id) this.doWithoutStore(waiter, error);
    };
    const answered = (reply: AcquireReply): void => {
      this.answered(waiter, id, reply);
      this.askAgain(key);
    };
    try {
      this.parts.session.acquire(request).then(answered, failed);
    } catch (error) {
      failed(error);
    }
  }

  /**
   * Who waits in this process only waits for the store again: under a new id, as the old one may be being cancelled, and
   * however many wait by now, as it was let in before.
   */
  private askAgain(key: string): void {
    for (const waiter of this.local.dismiss(key)) {
      this.parts.entries.delete(waiter.id);
      waiter.id = this.ids.next();
      waiter.asked = 0;
      this.parts.entries.set(waiter.id, waiter);
      this.ask(waiter, { ...waiter.request(), maxWaiting: Infinity });
    }
  }

  private answered(waiter: Waiter, id: string, reply: AcquireReply): void {
    // By its id: who is over may have left it to somebody else.
    if (reply.status === 'granted') this.granted(waiter.key, id, reply.grant);
    else if (waiter.state !== 'asking' || waiter.id !== id) return;
    else if (reply.status === 'waiting') this.enqueue(waiter, 'waiting');
    else {
      const error = waiter.unavailableError(reply.status, reply.retryAfterMs);
      this.refuse(waiter, reply.status, error);
    }
  }

  private enqueue(waiter: Waiter, state: 'waiting' | 'local'): void {
    waiter.enqueue(state);
    this.parts.alarm.expect(waiter);
    if (state === 'waiting' && waiter.options.localPasses > 0) this.parts.passes.add(waiter);
    waiter.probe?.queued();
    this.parts.reporter.waiting(waiter);
  }

  private take(waiter: Waiter, grant: Grant): void {
    const { key, id } = waiter;
    if (waiter.state === 'local') {
      this.parts.giveBacks.cancel(key, id);
      return;
    }
    const now = this.parts.clock.now();
    const isHeld = grant.deadline > now;
    const mayBeginShort = !grant.provisional || isKeptAlive(waiter.options);
    if (isHeld && mayBeginShort) this.hold(waiter, grant, now);
    // That claims a provisional grant too: a lease that nobody renews must not begin with a short one.
    else if (isHeld || waiter.asked < MAX_ASKED) this.ask(waiter);
    else this.giveUp(waiter, 'store-unavailable', new PermitLostError(key, id, 'expired'));
  }

  private hold(waiter: Waiter, grant: Grant, now: number): void {
    if (!(waiter instanceof UnkeptWaiter)) {
      this.admit(waiter, this.parts.keeper.hold(waiter, grant, now));
      return;
    }
    this.settle(waiter);
    const { id, weight, fencingToken } = this.parts.permitsById.hold(waiter, grant, now);
    this.reportAcquired(waiter, { id, weight, fencingToken, degraded: false });
  }

  /** Goes on as `onStoreFailure` says: what the store did for the waiter is not known, and it cannot be asked. */
  private doWithoutStore(waiter: Waiter, cause: unknown): void {
    const { key, id, options } = waiter;
    // Who is over was cancelled, or its grant came by a message although the reply was lost.
    if (waiter.state === 'over' || waiter.state === 'local') return;
    const isOther = cause instanceof SemaphoreError && !(cause instanceof StoreUnavailableError);
    const isUnknown = waiter.state === 'waiting' || waiter.asked > 1 || !isNothingDone(cause);
    if (isUnknown) this.parts.giveBacks.cancel(key, id);
    if (isOther || options.onStoreFailure === 'reject') {
      this.refuse(waiter, 'store-unavailable', isOther ? cause : asStoreError(key, cause));
      return;
    }
    if (options.onStoreFailure === 'allow') this.degrade(waiter, () => undefined);
    else this.enterLocally(waiter);
  }

  private enterLocally(waiter: Waiter): void {
    this.parts.passes.remove(waiter);
    const refusal = this.local.enter(waiter);
    if (refusal) this.refuse(waiter, refusal, waiter.unavailableError(refusal));
    else if (waiter.state !== 'over') this.enqueue(waiter, 'local');
  }

  private releaseLocally({ key, options }: Waiter, freeAt: number): void {
    const { clock } = this.parts;
    const keptMs = freeAt - clock.now();
    const free = (): void => this.local.release(key, options.weight);
    if (keptMs > 0) clock.schedule(free, keptMs);
    else free();
  }

  /** @param onRelease told when it is to be free, by `holdAtLeastMs` */
  private degrade(waiter: Waiter, onRelease: (freeAt: number) => void): void {
    const { clock, entries, reporter } = this.parts;
    const heldSince = clock.now();
    const permit = new DegradedPermit(waiter, clock.wallTime(), (holdAtLeastMs) => {
      waiter.probe?.ended('released');
      const { key, id, options } = waiter;
      reporter.released({ key, id, weight: options.weight, options, heldSince }, 'released');
      onRelease(heldSince + holdAtLeastMs);
    });
    entries.delete(waiter.id);
    this.settle(waiter);
    waiter.resolve(permit);
    this.reportAcquired(waiter, permit);
  }

  /** Nobody waits under the id any more. */
  private takeBack(key: string, id: string): void {
    this.parts.passes.forget(key, id);
    this.parts.giveBacks.cancel(key, id);
  }

  private refuse(waiter: Waiter, reason: RejectedReason, error: Error): void {
    this.parts.entries.delete(waiter.id);
    this.settle(waiter);
    waiter.reject(error);
    waiter.probe?.rejected(reason, error);
    this.parts.reporter.rejected(waiter, reason);
  }

  /** Its wait is over. */
  private settle(waiter: Waiter): void {
    if (waiter.options.localPasses > 0) this.parts.passes.remove(waiter);
    waiter.end();
  }

  private reportAcquired(waiter: Waiter, permit: Acquired): void {
    waiter.probe?.acquired(permit);
    this.parts.reporter.acquired(waiter, permit);
  }
}
