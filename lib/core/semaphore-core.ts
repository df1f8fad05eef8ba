import { type LostReason, PermitLostError } from '../semaphore.errors.js';
import type { ResolvedOptions } from '../resolve-options.js';
import type { Clock } from '../store/clock.js';
import type {
  Grant,
  PermitsChange,
  SemaphoreStore,
  StoreClient,
  StoreSession,
} from '../store/semaphore-store.js';
import type { Probes } from './acquisition-probe.js';
import { Acquisitions } from './acquisitions.js';
import { Alarm } from './alarm.js';
import { Entries, type Entry } from './entries.js';
import { GiveBackList } from './give-back-list.js';
import { HeldPermit } from './held-permit.js';
import { LeaseKeeper } from './lease-keeper.js';
import { LocalPasses } from './local-passes.js';
import { Outage } from './outage.js';
import type { Permit } from './permit.js';
import { PermitsById } from './permits-by-id.js';
import type { Reporter } from './reporter.js';
import { UnkeptPermit } from './unkept-permit.js';
import type { Witness } from './witness.js';

/** What a core is made of. */
interface CoreSetup {
  store: SemaphoreStore;
  storeTimeoutMs: number;
  reporter: Reporter;
  probes: Probes | undefined;
}

/** Puts the parts together, hears what the store says, and shuts all of it down. */
export class SemaphoreCore implements StoreClient {
  readonly clock: Clock;
  readonly session: StoreSession;
  /** For servers that acquire on behalf of somebody else. */
  readonly permitsById: PermitsById;
  private readonly entries = new Entries();
  private readonly alarm: Alarm<Entry>;
  private readonly giveBacks: GiveBackList;
  private readonly passes: LocalPasses;
  private readonly keeper: LeaseKeeper;
  private readonly acquisitions: Acquisitions;
  private readonly outage: Outage;
  private closed: Promise<void> | undefined;

  constructor(private readonly setup: CoreSetup) {
    const { store, storeTimeoutMs, reporter, probes } = setup;
    const { clock } = store;
    this.clock = clock;
    this.session = store.connect(this);
    this.giveBacks = new GiveBackList(this.session, clock);
    this.alarm = new Alarm(clock, this.entries, (entry, now) => this.wake(entry, now));
    this.passes = new LocalPasses(clock, (key, id) => this.giveBacks.cancel(key, id));
    const { session, entries, alarm, giveBacks, passes } = this;
    const parts = { clock, session, entries, alarm, giveBacks, reporter };
    this.keeper = new LeaseKeeper({
      ...parts,
      passes,
      onPassed: (waiter, permit) => this.acquisitions.admit(waiter, permit),
      onFreed: (key) => this.acquisitions.freed(key),
    });
    this.permitsById = new PermitsById({
      ...parts,
      begin: (waiter) => this.acquisitions.begin(waiter),
      giveUp: (waiter, reason, error) => this.acquisitions.giveUp(waiter, reason, error),
      isClosed: () => this.isClosed,
    });
    const { keeper, permitsById } = this;
    this.acquisitions = new Acquisitions({ ...parts, passes, keeper, permitsById, probes });
    this.outage = new Outage(clock, storeTimeoutMs, (error) =>
      this.acquisitions.stopWaitingForStore(error),
    );
  }

  get isClosed(): boolean {
    return this.closed !== undefined;
  }

  /** Tells the witness what happens from now on. @returns how to stop it */
  addWitness(witness: Witness): () => void {
    return this.setup.reporter.addWitness(witness);
  }

  /** @param since when the caller asked: `waitMs` counts from here */
  acquire(key: string, options: ResolvedOptions, since = this.clock.now()): Promise<Permit> {
    return this.acquisitions.acquire(key, options, since);
  }

  granted(key: string, id: string, grant: Grant): void {
    this.acquisitions.granted(key, id, grant);
  }

  failed(key: string, id: string, error: Error): void {
    this.acquisitions.failed(key, id, error);
  }

  revoked(key: string, id: string, reason: LostReason = 'forced'): void {
    const entry = this.entries.get(id);
    if (entry instanceof HeldPermit) this.keeper.lose(entry, reason);
    else if (entry instanceof UnkeptPermit) this.permitsById.lose(entry, reason);
    else if (entry) {
      this.acquisitions.giveUp(entry, 'aborted', new PermitLostError(key, id, reason));
    } else this.passes.forget(key, id);
  }

  permitsChanged(change: PermitsChange): void {
    this.setup.reporter.permitsChanged(change);
  }

  /** Nobody waits for work in the background: its failures are told here. */
  refreshFailed(key: string, error: unknown): void {
    if (!this.isClosed) this.setup.reporter.refreshFailed(key, error);
  }

  down(error: Error): void {
    this.giveBacks.pause();
    if (this.isClosed || !this.outage.begin(error)) return;
    this.setup.reporter.storeDown(error);
  }

  up(): void {
    const downMs = this.outage.end();
    this.giveBacks.retry();
    this.entries.stopCounting();
    this.keeper.confirm();
    if (this.isClosed || downMs === undefined) return;
    this.setup.reporter.storeUp(downMs);
    this.acquisitions.returnToStore();
  }

  /** Takes no new acquisitions, and sends everybody away who waits. @returns whether anybody did */
  beginClose(): boolean {
    return this.acquisitions.close();
  }

  /** Ends the session, once everything was given back, or after `storeTimeoutMs` of trying. */
  close(): Promise<void> {
    return (this.closed ??= this.end());
  }

  private async end(): Promise<void> {
    this.beginClose();
    await this.giveBacks.flush(this.setup.storeTimeoutMs);
    this.giveBacks.stop();
    this.keeper.stop();
    this.outage.end();
    // What is still held ends with its lease, and its holder hears of that.
    if (this.entries.size === 0) this.alarm.stop();
    try {
      await this.session.close();
    } finally {
      this.setup.probes?.close();
      this.setup.reporter.complete();
    }
  }

  /** The entry is due. */
  private wake(entry: Entry, now: number): void {
    if (entry instanceof HeldPermit) this.keeper.attend(entry, now);
    else if (entry instanceof UnkeptPermit) this.permitsById.expire(entry, now);
    else this.acquisitions.giveUp(entry, 'timeout', entry.unavailableError('timeout'));
  }
}
