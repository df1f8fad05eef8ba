import {
  AcquireAbortedError,
  PermitLostError,
  SemaphoreClosedError,
  SemaphoreError,
  StoreUnavailableError,
} from '../semaphore.errors.js';
import type { RejectedReason } from '../semaphore.events.js';
import type { ResolvedOptions } from '../resolve-options.js';
import type { Clock } from '../store/clock.js';
import type {
  AcquireReply,
  Grant,
  PermitsChange,
  SemaphoreStore,
  StoreClient,
  StoreSession,
} from '../store/semaphore-store.js';
import type { CancelSignal } from './abandonment.js';
import type { Acquired, StartProbe } from './acquisition-probe.js';
import { Alarm } from './alarm.js';
import { DegradedPermit } from './degraded-permit.js';
import { GiveBackList } from './give-back-list.js';
import { type Entry, HeldPermit, weightHeld } from './held-permit.js';
import { LeaseKeeper } from './lease-keeper.js';
import { isKeptAlive } from './lease-times.js';
import { LocalPasses } from './local-passes.js';
import { LocalPermits } from './local-permits.js';
import { asStoreError, Outage } from './outage.js';
import type { Permit } from './permit.js';
import { PermitIds } from './permit-ids.js';
import type { Reporter } from './reporter.js';
import { SignalWatch } from './signal-watch.js';
import { UnkeptPermit, UnkeptWaiter } from './unkept-permit.js';
import { UnkeptPermits } from './unkept-permits.js';
import { Waiter } from './waiter.js';
import type { Witness } from './witness.js';

/** A grant that came too late is asked for again: not for ever, as a lease may be shorter than the way to the store. */
const MAX_ASKED = 3;

/**
 * The one way to acquire. Every acquisition is registered under its id before the store hears of it, because its grant
 * may be faster than the reply. It ends as a permit, or with an error; then the store is made to forget the id, unless
 * it said itself that it knows nothing of it.
 */
export class SemaphoreCore implements StoreClient {
  readonly clock: Clock;
  readonly session: StoreSession;
  /** Permits by id, which are not kept by this process. */
  readonly unkept: UnkeptPermits;
  /** Who waits and who holds, by id. */
  private readonly entries = new Map<string, Entry>();
  private readonly ids = new PermitIds();
  private readonly signals = new SignalWatch();
  private readonly alarm: Alarm<Entry>;
  private readonly giveBacks: GiveBackList;
  private readonly keeper: LeaseKeeper;
  private readonly local: LocalPermits;
  private readonly passes: LocalPasses;
  private readonly outage: Outage;
  private isClosing = false;
  private closed: Promise<void> | undefined;

  constructor(
    store: SemaphoreStore,
    private readonly storeTimeoutMs: number,
    private readonly reporter: Reporter,
    private readonly startProbe?: StartProbe,
  ) {
    const { clock } = store;
    const { entries } = this;
    this.clock = clock;
    this.session = store.connect(this);
    this.giveBacks = new GiveBackList(this.session, clock);
    this.outage = new Outage(clock, storeTimeoutMs, (error) => this.stopWaitingForStore(error));
    this.alarm = new Alarm(clock, entries, (entry, now) => {
      if (entry instanceof HeldPermit) this.keeper.attend(entry, now);
      else if (entry instanceof UnkeptPermit) this.unkept.expire(entry, now);
      else this.giveUp(entry, 'timeout', entry.unavailableError('timeout'));
    });
    this.local = new LocalPermits(
      (key) => weightHeld(entries, key),
      (waiter) => this.degrade(waiter, () => this.local.release(waiter.key, waiter.options.weight)),
    );
    this.passes = new LocalPasses((key, id) => this.giveBacks.cancel(key, id));
    const { session, alarm, giveBacks, passes } = this;
    const parts = { clock, entries, reporter, session, alarm, giveBacks };
    this.keeper = new LeaseKeeper({
      ...parts,
      passes,
      onPassed: (waiter, permit) => this.admit(waiter, permit),
      onFreed: (key) => this.local.serve(key),
    });
    this.unkept = new UnkeptPermits(
      parts,
      (waiter) => this.begin(waiter),
      (waiter) => this.abort(waiter, undefined),
    );
  }

  get isClosed(): boolean {
    return this.closed !== undefined;
  }

  /** Tells the witness what happens from now on. @returns how to stop it */
  addWitness(witness: Witness): () => void {
    return this.reporter.addWitness(witness);
  }

  /** @param since when the caller asked: `waitMs` counts from here */
  acquire(key: string, options: ResolvedOptions, since = this.clock.now()): Promise<Permit> {
    return new Promise((resolve, reject) => {
      const place = this.placeOf(key, options);
      const id = place ?? this.ids.next();
      this.begin(new Waiter(id, key, options, since, resolve, reject), place !== undefined);
    });
  }

  granted(key: string, id: string, grant: Grant): void {
    const waiter = this.entries.get(id);
    if (waiter instanceof HeldPermit || waiter instanceof UnkeptPermit) return;
    if (waiter === undefined) this.passes.forget(key, id);
    if (waiter === undefined || waiter.state === 'local') {
      this.giveBacks.cancel(key, id);
      return;
    }
    const now = this.clock.now();
    const isHeld = grant.deadline > now;
    const mayBeginShort = !grant.provisional || isKeptAlive(waiter.options);
    if (isHeld && mayBeginShort) this.hold(waiter, grant, now);
    // That claims a provisional grant too: a lease that nobody renews must not begin with a short one.
    else if (isHeld || waiter.asked < MAX_ASKED) this.ask(waiter);
    else this.giveUp(waiter, 'store-unavailable', new PermitLostError(key, id, 'expired'));
  }

  failed(key: string, id: string, error: Error): void {
    const waiter = this.entries.get(id);
    if (waiter === undefined) {
      this.passes.forget(key, id);
      this.giveBacks.cancel(key, id);
    } else if (waiter instanceof Waiter) this.doWithoutStore(waiter, error);
  }

  revoked(key: string, id: string): void {
    const entry = this.entries.get(id);
    if (entry instanceof HeldPermit) this.keeper.lose(entry, 'forced');
    else if (entry instanceof UnkeptPermit) this.unkept.lose(entry, 'forced');
    else if (entry) this.giveUp(entry, 'aborted', new PermitLostError(key, id, 'forced'));
    else this.passes.forget(key, id);
  }

  permitsChanged(change: PermitsChange): void {
    this.reporter.permitsChanged(change);
  }

  /** Nobody waits for work in the background: its failures are told here. */
  refreshFailed(key: string, error: unknown): void {
    if (!this.isClosed) this.reporter.refreshFailed(key, error);
  }

  down(error: Error): void {
    this.giveBacks.pause();
    if (this.isClosed || !this.outage.begin(error)) return;
    this.reporter.storeDown(error);
  }

  up(): void {
    const downMs = this.outage.end();
    this.giveBacks.retry();
    this.keeper.confirm();
    if (this.isClosed || downMs === undefined) return;
    this.reporter.storeUp(downMs);
  }

  /** Takes no new acquisitions, and sends everybody away who waits. */
  beginClose(): void {
    if (this.isClosing) return;
    this.isClosing = true;
    for (const entry of this.entries.values()) {
      if (entry instanceof Waiter) {
        this.giveUp(entry, 'closed', new SemaphoreClosedError(entry.key));
      }
    }
  }

  /** Ends the session, once everything was given back, or after `storeTimeoutMs` of trying. */
  close(): Promise<void> {
    return (this.closed ??= this.end());
  }

  private async end(): Promise<void> {
    this.beginClose();
    await this.giveBacks.flush(this.storeTimeoutMs);
    this.giveBacks.stop();
    this.keeper.stop();
    this.outage.end();
    // What is still held ends with its lease, and its holder hears of that.
    if (this.entries.size === 0) this.alarm.stop();
    try {
      await this.session.close();
    } finally {
      this.reporter.complete();
    }
  }

  /** @param hasPlace in the store's queue, which a waiter of this process has left */
  private begin(waiter: Waiter, hasPlace = false): void {
    const { key, options } = waiter;
    const { signal } = options;
    waiter.probe = this.startProbe?.(options);
    if (this.isClosing) {
      this.refuse(waiter, 'closed', new SemaphoreClosedError(key));
    } else if (signal?.aborted) {
      this.refuse(waiter, 'aborted', new AcquireAbortedError(key, signal.reason));
    } else {
      this.entries.set(waiter.id, waiter);
      if (signal) this.listen(waiter, signal);
      if (hasPlace) this.enqueue(waiter, 'waiting');
      else this.ask(waiter);
    }
  }

  private listen(waiter: Waiter, signal: CancelSignal): void {
    waiter.stopListening = this.signals.listen(signal, () => this.abort(waiter, signal.reason));
  }

  private abort(waiter: Waiter, cause: unknown): void {
    this.giveUp(waiter, 'aborted', new AcquireAbortedError(waiter.key, cause));
  }

  /** A place in the queue that was left by a waiter of this process. */
  private placeOf(key: string, options: ResolvedOptions): string | undefined {
    if (options.localPasses === 0 || options.waitMs === 0) return undefined;
    if (this.isClosing || options.signal?.aborted) return undefined;
    return this.passes.adopt(key, options);
  }

  private ask(waiter: Waiter): void {
    waiter.state = 'asking';
    waiter.asked++;
    const failed = (error: unknown): void => this.doWithoutStore(waiter, error);
    try {
      const asked = this.session.acquire(waiter.request());
      asked.then((reply) => this.answered(waiter, reply), failed);
    } catch (error) {
      failed(error);
    }
  }

  private answered(waiter: Waiter, reply: AcquireReply): void {
    if (reply.status === 'granted') this.granted(waiter.key, waiter.id, reply.grant);
    else if (waiter.state !== 'asking') return;
    else if (reply.status === 'waiting') this.enqueue(waiter, 'waiting');
    else {
      const error = waiter.unavailableError(reply.status, reply.retryAfterMs);
      this.refuse(waiter, reply.status, error);
    }
  }

  private enqueue(waiter: Waiter, state: 'waiting' | 'local'): void {
    waiter.enqueue(state);
    this.alarm.expect(waiter);
    if (state === 'waiting' && waiter.options.localPasses > 0) this.passes.add(waiter);
    waiter.probe?.queued();
    this.reporter.waiting(waiter);
  }

  private hold(waiter: Waiter, grant: Grant, now: number): void {
    if (!(waiter instanceof UnkeptWaiter)) {
      this.admit(waiter, this.keeper.hold(waiter, grant, now));
      return;
    }
    this.settle(waiter);
    const { id, fencingToken } = this.unkept.hold(waiter, grant, now);
    this.reportAcquired(waiter, { id, fencingToken, degraded: false });
  }

  private admit(waiter: Waiter, permit: HeldPermit): void {
    if (waiter.id !== permit.id) this.entries.delete(waiter.id);
    this.settle(waiter);
    waiter.resolve(permit);
    this.reportAcquired(waiter, permit);
  }

  /** What the store did for the waiter is not known, and it cannot be asked. */
  private doWithoutStore(waiter: Waiter, cause: unknown): void {
    const { key, id, options } = waiter;
    // Who is over was cancelled, or its grant came by a message although the reply was lost.
    if (waiter.state === 'over' || waiter.state === 'local') return;
    const isOther = cause instanceof SemaphoreError && !(cause instanceof StoreUnavailableError);
    const nothingDone = cause instanceof StoreUnavailableError && cause.nothingDone;
    const isUnknown = waiter.state === 'waiting' || waiter.asked > 1 || !nothingDone;
    if (isUnknown) this.giveBacks.cancel(key, id);
    if (isOther || options.onStoreFailure === 'reject') {
      this.refuse(waiter, 'store-unavailable', isOther ? cause : asStoreError(key, cause));
      return;
    }
    if (options.onStoreFailure === 'allow') this.degrade(waiter, () => undefined);
    else this.enterLocally(waiter);
  }

  private stopWaitingForStore(error: Error): void {
    for (const entry of this.entries.values()) {
      if (entry instanceof Waiter && entry.state === 'waiting') this.doWithoutStore(entry, error);
    }
  }

  private enterLocally(waiter: Waiter): void {
    this.passes.remove(waiter);
    const refusal = this.local.enter(waiter);
    if (refusal) this.refuse(waiter, refusal, waiter.unavailableError(refusal));
    else if (waiter.state !== 'over') this.enqueue(waiter, 'local');
  }

  private degrade(waiter: Waiter, onRelease: () => void): void {
    const heldSince = this.clock.now();
    const permit = new DegradedPermit(waiter, this.clock.wallTime(), () => {
      waiter.probe?.ended('released');
      const { key, id, options } = waiter;
      this.reporter.released({ key, id, options, heldSince }, 'released');
      onRelease();
    });
    this.entries.delete(waiter.id);
    this.settle(waiter);
    waiter.resolve(permit);
    this.reportAcquired(waiter, permit);
  }

  /** Ends the wait of somebody for whom the store may still do, or have done, something. */
  private giveUp(waiter: Waiter, reason: RejectedReason, error: Error): void {
    const isLocal = waiter.state === 'local';
    this.refuse(waiter, reason, error);
    if (isLocal) this.local.leave(waiter);
    else this.giveBacks.cancel(waiter.key, waiter.id);
  }

  private refuse(waiter: Waiter, reason: RejectedReason, error: Error): void {
    this.entries.delete(waiter.id);
    this.settle(waiter);
    waiter.reject(error);
    waiter.probe?.rejected(reason, error);
    this.reporter.rejected(waiter, reason);
  }

  /** Its wait is over. */
  private settle(waiter: Waiter): void {
    if (waiter.options.localPasses > 0) this.passes.remove(waiter);
    waiter.end();
  }

  private reportAcquired(waiter: Waiter, permit: Acquired): void {
    waiter.probe?.acquired(permit);
    this.reporter.acquired(waiter, permit);
  }
}
