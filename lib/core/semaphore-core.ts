import {
  AcquireAbortedError,
  PermitLostError,
  PermitUnavailableError,
  SemaphoreClosedError,
  SemaphoreError,
  StoreUnavailableError,
  type UnavailableReason,
} from '../semaphore.errors.js';
import type { SemaphoreEvent } from '../semaphore.events.js';
import type { ResolvedOptions } from '../semaphore.options.js';
import type { Clock, StopTimer } from '../store/clock.js';
import type {
  AcquireReply,
  Grant,
  PermitsChange,
  SemaphoreStore,
  StoreClient,
  StoreSession,
} from '../store/semaphore-store.js';
import { Alarm } from './alarm.js';
import { DegradedPermit } from './degraded-permit.js';
import { GiveBackList } from './give-back-list.js';
import { type Entry, HeldPermit } from './held-permit.js';
import { LeaseKeeper } from './lease-keeper.js';
import { LocalPermits } from './local-permits.js';
import type { Permit } from './permit.js';
import { PermitIds } from './permit-ids.js';
import type { Reporter } from './reporter.js';
import { SignalWatch } from './signal-watch.js';
import { Waiter } from './waiter.js';

type RejectedReason = Extract<SemaphoreEvent, { type: 'rejected' }>['reason'];

/** When nothing better is known. */
const RETRY_AFTER_MS = 30_000;

/** A grant that came too late is asked for again: not for ever, as a lease may be shorter than the way to the store. */
const MAX_ASKED = 3;

/**
 * The one way to acquire. Every acquisition is registered under its id before the store hears of it, because its grant
 * may be faster than the reply; it leaves as a permit, or with an error and a {@link GiveBackList.cancel}.
 */
export class SemaphoreCore implements StoreClient {
  readonly clock: Clock;
  readonly session: StoreSession;
  private readonly ids = new PermitIds();
  private readonly signals = new SignalWatch();
  /** Who waits and who holds, by id. */
  private readonly entries = new Map<string, Entry>();
  private readonly alarm: Alarm<Entry>;
  private readonly giveBacks: GiveBackList;
  private readonly keeper: LeaseKeeper;
  private readonly local: LocalPermits;
  private downSince: number | undefined;
  private stopDownTimer: StopTimer | undefined;
  private isClosing = false;
  private closed: Promise<void> | undefined;

  constructor(
    store: SemaphoreStore,
    private readonly storeTimeoutMs: number,
    private readonly reporter: Reporter,
  ) {
    const { clock } = store;
    this.clock = clock;
    this.session = store.connect(this);
    this.giveBacks = new GiveBackList(this.session, clock);
    this.local = new LocalPermits(
      (key) => this.heldOfStore(key),
      (waiter) => this.degrade(waiter, () => this.local.release(waiter.key, waiter.options.weight)),
    );
    this.alarm = new Alarm(clock, this.entries, (entry, now) => {
      if (entry instanceof HeldPermit) this.keeper.attend(entry, now);
      else this.giveUp(entry, 'timeout', this.unavailableError(entry, 'timeout'));
    });
    this.keeper = new LeaseKeeper({
      clock,
      session: this.session,
      entries: this.entries,
      alarm: this.alarm,
      giveBacks: this.giveBacks,
      reporter,
      onFreed: (key) => this.local.serve(key),
    });
  }

  /** @param since when the caller asked: `waitMs` counts from here */
  acquire(key: string, options: ResolvedOptions, since = this.clock.now()): Promise<Permit> {
    return new Promise((resolve, reject) => {
      const waiter = new Waiter(this.ids.next(), key, options, since, resolve, reject);
      const { signal } = options;
      if (this.isClosing) {
        this.refuse(waiter, 'closed', new SemaphoreClosedError(key));
        return;
      }
      if (signal?.aborted) {
        this.refuse(waiter, 'aborted', new AcquireAbortedError(key, signal.reason));
        return;
      }
      this.entries.set(waiter.id, waiter);
      waiter.stopListening =
        signal &&
        this.signals.listen(signal, () =>
          this.giveUp(waiter, 'aborted', new AcquireAbortedError(key, signal.reason)),
        );
      this.ask(waiter);
    });
  }

  granted(key: string, id: string, grant: Grant): void {
    const waiter = this.entries.get(id);
    if (waiter instanceof HeldPermit) return;
    if (waiter === undefined) {
      this.giveBacks.cancel(key, id);
      return;
    }
    const now = this.clock.now();
    if (grant.deadline > now) this.admit(waiter, grant, now);
    else if (waiter.asked < MAX_ASKED) this.ask(waiter);
    else {
      const error = new PermitLostError(key, id, 'expired');
      this.giveUp(waiter, 'store-unavailable', error);
    }
  }

  failed(key: string, id: string, error: Error): void {
    const waiter = this.entries.get(id);
    if (waiter === undefined) this.giveBacks.cancel(key, id);
    else if (waiter instanceof Waiter) this.doWithoutStore(waiter, error);
  }

  revoked(_key: string, id: string): void {
    const entry = this.entries.get(id);
    if (entry instanceof HeldPermit) this.keeper.lose(entry, 'forced');
    else if (entry) this.refuse(entry, 'aborted', new PermitLostError(entry.key, id, 'forced'));
  }

  permitsChanged(change: PermitsChange): void {
    this.reporter.report({ type: 'permits-changed', ...change });
  }

  down(error: Error): void {
    if (this.closed || this.downSince !== undefined) return;
    this.downSince = this.clock.now();
    this.stopDownTimer = this.clock.schedule(() => {
      for (const entry of this.entries.values()) {
        if (entry instanceof Waiter && entry.state === 'waiting') this.doWithoutStore(entry, error);
      }
    }, this.storeTimeoutMs);
    this.reporter.report({ type: 'store-down', error });
  }

  up(): void {
    if (this.closed || this.downSince === undefined) return;
    const downMs = this.clock.now() - this.downSince;
    this.downSince = undefined;
    this.stopDownTimer?.();
    this.giveBacks.retry();
    this.reporter.report({ type: 'store-up', downMs });
  }

  /** Takes no new acquisitions, and sends everybody away who waits. */
  beginClose(): void {
    if (this.isClosing) return;
    this.isClosing = true;
    for (const entry of this.entries.values()) {
      if (entry instanceof Waiter)
        this.giveUp(entry, 'closed', new SemaphoreClosedError(entry.key));
    }
  }

  /** Ends the session, after what is to be given back was given back, or was tried for `storeTimeoutMs`. */
  close(): Promise<void> {
    return (this.closed ??= this.end());
  }

  get isClosed(): boolean {
    return this.closed !== undefined;
  }

  private async end(): Promise<void> {
    this.beginClose();
    await this.giveBacks.flush(this.storeTimeoutMs);
    this.giveBacks.stop();
    this.keeper.stop();
    this.stopDownTimer?.();
    await this.session.close();
    this.reporter.complete();
  }

  private ask(waiter: Waiter): void {
    waiter.state = 'asking';
    waiter.asked++;
    const { id } = waiter;
    this.session.acquire(waiter.request()).then(
      (reply) => this.answered(waiter, id, reply),
      (error: unknown) => this.callFailed(waiter, id, error),
    );
  }

  private answered(waiter: Waiter, id: string, reply: AcquireReply): void {
    if (reply.status === 'granted') this.granted(waiter.key, id, reply.grant);
    else if (waiter.state !== 'asking') return;
    else if (reply.status === 'waiting') this.enqueue(waiter);
    else {
      const error = this.unavailableError(waiter, reply.status, reply.retryAfterMs);
      this.refuse(waiter, reply.status, error);
    }
  }

  private enqueue(waiter: Waiter): void {
    waiter.enqueue('waiting');
    this.alarm.expect(waiter);
    if (this.reporter.isVerbose) this.reporter.report({ type: 'waiting', ...facts(waiter) });
  }

  private admit(waiter: Waiter, grant: Grant, now: number): void {
    const permit = this.keeper.hold(waiter, grant, now);
    waiter.end();
    waiter.resolve(permit);
    this.reportAcquired(waiter, permit);
  }

  /** The call to the store failed: what it did is not known. */
  private callFailed(waiter: Waiter, id: string, cause: unknown): void {
    // A waiter that is over was cancelled then, or a message brought its grant before the reply was lost.
    if (waiter.id !== id || waiter.state === 'over') return;
    const isOther = cause instanceof SemaphoreError && !(cause instanceof StoreUnavailableError);
    if (isOther) this.giveUp(waiter, 'store-unavailable', cause);
    else this.doWithoutStore(waiter, cause);
  }

  private doWithoutStore(waiter: Waiter, cause: unknown): void {
    const { key, options } = waiter;
    if (options.onStoreFailure === 'reject') {
      this.giveUp(waiter, 'store-unavailable', asStoreError(key, cause));
      return;
    }
    this.giveBacks.cancel(key, waiter.id);
    this.entries.delete(waiter.id);
    // Whatever the store still says about the old id is not about this waiter any more.
    waiter.id = this.ids.next();
    if (options.onStoreFailure === 'allow') this.degrade(waiter, () => undefined);
    else this.enterLocally(waiter);
  }

  private enterLocally(waiter: Waiter): void {
    this.entries.set(waiter.id, waiter);
    const refusal = this.local.enter(waiter);
    if (refusal) this.refuse(waiter, refusal, this.unavailableError(waiter, refusal));
    else this.alarm.expect(waiter);
  }

  private degrade(waiter: Waiter, onRelease: () => void): void {
    const heldSince = this.clock.now();
    const permit = new DegradedPermit(waiter, this.clock.wallTime(), () => {
      onRelease();
      const heldMs = this.clock.now() - heldSince;
      this.reporter.report({ type: 'released', ...facts(waiter), outcome: 'released', heldMs });
    });
    this.entries.delete(waiter.id);
    waiter.end();
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
    waiter.end();
    waiter.reject(error);
    const waitedMs = this.clock.now() - waiter.since;
    this.reporter.report({ type: 'rejected', ...facts(waiter), reason, waitedMs });
  }

  private reportAcquired(waiter: Waiter, { fencingToken, degraded }: Permit): void {
    if (!this.reporter.isVerbose) return;
    const waitedMs = this.clock.now() - waiter.since;
    const event = { type: 'acquired', ...facts(waiter), waitedMs, fencingToken, degraded } as const;
    this.reporter.report(event);
  }

  private unavailableError(
    { key, options }: Waiter,
    reason: UnavailableReason,
    retryAfterMs = Math.min(options.waitMs, options.leaseMs),
  ): PermitUnavailableError {
    const estimate = Number.isFinite(retryAfterMs) ? retryAfterMs : RETRY_AFTER_MS;
    return new PermitUnavailableError(key, reason, Math.max(1, estimate), options);
  }

  private heldOfStore(key: string): number {
    let held = 0;
    for (const entry of this.entries.values()) {
      if (entry instanceof HeldPermit && entry.key === key) held += entry.weight;
    }
    return held;
  }
}

function asStoreError(key: string, cause: unknown): StoreUnavailableError {
  if (cause instanceof StoreUnavailableError) return cause;
  return new StoreUnavailableError(
    cause instanceof Error ? cause.message : String(cause),
    key,
    cause,
  );
}

function facts({ key, id, options }: Waiter) {
  return { key, permitId: id, weight: options.weight, label: options.label };
}
