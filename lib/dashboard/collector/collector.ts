import { isDeepStrictEqual } from 'node:util';
import { outsideOfRequests } from '../../outside-of-requests.js';
import type { SemaphoreService } from '../../semaphore.service.js';
import { findInternals, internalsOf } from '../../service-internals.js';
import type { StoreSnapshot } from '../../store/semaphore-store.js';
import { Statistics } from '../statistics/statistics.js';
import { type Frame, overviewPart, semaphorePart } from './frame.js';
import { type KnownKey, KnownKeys, stateOf } from './known-keys.js';
import { Listing } from './listing.js';
import { selectKeys } from './select-keys.js';
import { StoreClock } from './store-clock.js';
import { OutageNote } from './outage-note.js';
import type { OverviewView, View } from './view.js';

/** How often the store is asked, and viewers are told; newcomers at once. */
const PERIOD_MS = 1_000;
/** A key that was looked at so recently is not looked at again; it may be so much longer for each that holds or waits. */
const MIN_AGE_MS = 500;
const MIN_AGE_FOR_EACH_MS = 1;
const MIN_AGE_FOR_EACH_IF_WATCHED_MS = 0.25;
/** A store that takes longer to answer is shown as one that does not. Viewers take a server that is silent for longer for lost. */
const SILENCE_MS = 15_000;
/** Keys that are looked at in one period beyond those that are shown: sorting and totals need them. */
const OTHERS_A_PERIOD = 250;

type Send = (frame: Frame) => void;

/**
 * The one place of a process that asks the store for its viewers, however many they are. It asks while somebody
 * watches; otherwise it only counts what happens in this process.
 */
export class Collector {
  private readonly statistics = new Statistics();
  private readonly outageNote = new OutageNote();
  private readonly storeClock = new StoreClock();
  private readonly keys: KnownKeys;
  private readonly listing: Listing;
  private readonly viewers = new Map<Send, View>();
  /** Of these those who have just come: the store was not asked for what they see. */
  private readonly newcomers = new Map<Send, View>();
  private readonly snapshots = new Map<string, { snapshot: StoreSnapshot; freshUntil: number }>();
  private readonly stopCounting: (() => void) | undefined;
  private timer: NodeJS.Timeout | undefined;
  private isRunning = false;
  private nextRoundAt = 0;
  private turn = 0;

  /** @param service where it is a mock, nothing is counted */
  constructor(private readonly service: SemaphoreService) {
    this.keys = new KnownKeys(service, ({ now }) => this.storeClock.hear(now));
    this.listing = new Listing(this.keys, this.outageNote);
    const { statistics, outageNote } = this;
    this.stopCounting = findInternals(service)?.core.addWitness({
      acquired: (key, waitedMs) => statistics.acquired(key, waitedMs),
      rejected: (key, reason) => statistics.rejected(key, reason),
      ended: (key, heldMs, isLost) => statistics.ended(key, heldMs, isLost),
      storeDown: (error) => {
        outageNote.failed(error);
        this.tellAll();
      },
      storeUp: () => {
        outageNote.worked();
        this.tellAll();
      },
    });
  }

  /** Since when it counts, in epoch milliseconds. */
  get since(): number {
    return this.statistics.since;
  }

  /** Sends a frame soon, and then one in every period. @returns how to stop it */
  watch(view: View, send: Send): () => void {
    // What equal views show is worked out once for all of them.
    const same = [...this.viewers.values()].find((other) => isDeepStrictEqual(other, view));
    this.viewers.set(send, same ?? view);
    this.newcomers.set(send, same ?? view);
    outsideOfRequests(() => void this.run());
    return () => {
      this.viewers.delete(send);
      this.newcomers.delete(send);
    };
  }

  /** One frame for somebody who does not watch. */
  async read(view: View): Promise<Frame> {
    await this.refresh([view]);
    return this.frameOf(view);
  }

  close(): void {
    this.stopCounting?.();
    this.viewers.clear();
    this.newcomers.clear();
    clearTimeout(this.timer);
  }

  /** A round for everybody when it is time for one, and between two rounds what newcomers see. */
  private async run(): Promise<void> {
    if (this.isRunning) return;
    this.isRunning = true;
    clearTimeout(this.timer);
    const begun = performance.now();
    const isRound = begun >= this.nextRoundAt;
    const audience = isRound ? this.viewers : this.newcomers;
    const views = new Set(audience.values());
    const silence = setInterval(() => {
      this.outageNote.failed(new Error(`no answer within ${SILENCE_MS / 1_000} s`), begun);
      this.tellAll();
    }, SILENCE_MS).unref();
    await this.refresh([...views], isRound ? OTHERS_A_PERIOD : 0);
    clearInterval(silence);
    this.isRunning = false;
    const told = new Map([...audience].filter(([, view]) => views.has(view)));
    for (const send of told.keys()) this.newcomers.delete(send);
    this.tell(told);
    const now = performance.now();
    if (isRound) this.nextRoundAt = Math.max(now + PERIOD_MS / 2, begun + PERIOD_MS);
    if (this.viewers.size === 0) return;
    const pauseMs = this.newcomers.size > 0 ? 0 : Math.max(0, this.nextRoundAt - now);
    this.timer = setTimeout(() => void this.run(), pauseMs).unref();
  }

  private tellAll(): void {
    this.tell(this.viewers);
  }

  private tell(told: ReadonlyMap<Send, View>): void {
    const frames = new Map<View, Frame>();
    for (const [send, view] of told) {
      const frame = frames.get(view) ?? this.frameOf(view);
      frames.set(view, frame);
      send(frame);
    }
  }

  /** Never rejects: a store that does not answer is something to show. */
  private async refresh(views: readonly View[], others = 0): Promise<void> {
    const overviews = views.filter((view) => view.type === 'overview');
    const watched = new Set(views.flatMap((view) => (view.type === 'semaphore' ? view.key : [])));
    for (const key of this.snapshots.keys()) {
      if (!this.isWatched(key)) this.snapshots.delete(key);
    }
    let begun = performance.now();
    try {
      if (overviews.length > 0) await this.listing.keepFresh();
      begun = performance.now();
      const known = this.worthALook(overviews, others);
      await Promise.all([this.keys.look(known), ...[...watched].map((key) => this.inspect(key))]);
      if (known.length + watched.size > 0) this.outageNote.worked();
    } catch (error) {
      this.outageNote.failed(error, begun);
    }
  }

  private isWatched(key: string): boolean {
    return [...this.viewers.values()].some((view) => view.type === 'semaphore' && view.key === key);
  }

  /** The keys to look at now: those that are shown, and some of the others in turn. */
  private worthALook(views: readonly OverviewView[], others: number): KnownKey[] {
    const now = performance.now();
    const { all } = this.keys;
    const worth = new Set(views.flatMap((view) => this.select(view).page));
    if (views.length > 0) {
      const last = this.turn + others;
      for (const known of all.slice(this.turn, last)) worth.add(known);
      this.turn = last < all.length ? last : 0;
    }
    return [...worth].filter(
      ({ lookedAt, state }) =>
        now - lookedAt >= MIN_AGE_MS + (state?.size ?? 0) * MIN_AGE_FOR_EACH_MS,
    );
  }

  private async inspect(key: string): Promise<void> {
    const begun = performance.now();
    if (begun < (this.snapshots.get(key)?.freshUntil ?? 0)) return;
    const snapshot = await internalsOf(this.service).look(key);
    this.storeClock.hear(snapshot.now);
    const freshUntil = begun + stateOf(snapshot).size * MIN_AGE_FOR_EACH_IF_WATCHED_MS;
    this.snapshots.set(key, { snapshot, freshUntil });
  }

  private frameOf(view: View): Frame {
    const now = Date.now();
    const storeNow = this.storeClock.now();
    const frame: Frame = { now, storeNow, storeDown: this.outageNote.outage };
    if (view.type === 'overview') {
      const { matching, page } = this.select(view, now);
      const overview = overviewPart(view, matching, page, this.keys, this.statistics, now);
      return { ...frame, overview };
    }
    const seen = this.snapshots.get(view.key);
    if (seen === undefined) return frame;
    const timeline = this.statistics.timeline(view.key, now);
    return { ...frame, semaphore: semaphorePart(seen.snapshot, timeline) };
  }

  private select(view: OverviewView, now = Date.now()): { matching: KnownKey[]; page: KnownKey[] } {
    const matching = selectKeys(this.keys.all, view, this.statistics, now);
    return { matching, page: matching.slice(view.offset, view.offset + view.limit) };
  }
}
