import type {
  HolderSnapshot,
  SemaphoreSnapshot,
  StoreSnapshot,
} from '../../store/semaphore-store.js';
import type { RecentCounts, Statistics, Timeline } from '../statistics/statistics.js';
import { type KeyState, type KnownKey, type KnownKeys, stateOf } from './known-keys.js';
import type { StoreOutage } from './outage-note.js';
import type { OverviewView } from './view.js';

/** Of each list: whoever has more wants a number, not a page of thousands of lines. */
const MAX_LISTED = 100;

/** What a viewer is told. Times are epoch milliseconds. */
export interface Frame {
  /** By the clock of this process, as what it counted itself. */
  now: number;
  /** By the store's clock, as the times of holders and waiters. */
  storeNow: number;
  /** null while the store answers. */
  storeDown: StoreOutage | null;
  overview?: OverviewPart;
  semaphore?: SemaphorePart;
}

interface OverviewPart {
  offset: number;
  /** Keys that match the search. */
  matching: number;
  rows: Row[];
  totals: Totals;
  /** false: the first listing goes on, and keys are missing. */
  complete: boolean;
  /** true: there are more keys than the dashboard keeps. */
  cut: boolean;
}

export interface Row extends RecentCounts {
  key: string;
  /** null: not looked at yet. */
  state: Omit<KeyState, 'size'> | null;
}

/** Over all keys that are known, as they were when they were last looked at. */
interface Totals extends RecentCounts {
  keys: number;
  /** Of so many keys: the others were not looked at yet, and `held` and `waiting` lack them. */
  lookedAt: number;
  held: number;
  waiting: number;
  oldestWaitSince: number | null;
}

interface SemaphorePart {
  key: string;
  permits: number;
  held: number;
  available: number;
  /** The limit was set here or by `setPermits`, whatever callers pass. */
  pinned: boolean;
  holding: number;
  waiting: number;
  oldestWaitSince: number | null;
  /** The first of them. `expiresAt` is null for a lease that never ends by itself. */
  holders: (Omit<HolderSnapshot, 'expiresAt'> & { expiresAt: number | null })[];
  /** The first of them. */
  waiters: SemaphoreSnapshot['waiters'];
  timeline: Timeline;
}

export function overviewPart(
  { offset }: OverviewView,
  matching: readonly KnownKey[],
  page: readonly KnownKey[],
  keys: KnownKeys,
  statistics: Statistics,
  now: number,
): OverviewPart {
  return {
    offset,
    matching: matching.length,
    rows: page.map((known) => rowOf(known, statistics, now)),
    totals: totalsOf(keys.all, statistics, now),
    complete: keys.areComplete,
    cut: keys.areCut,
  };
}

function rowOf({ key, state }: KnownKey, statistics: Statistics, now: number): Row {
  const recent = statistics.recent(key, now);
  if (state === undefined) return { key, state: null, ...recent };
  const { size: _, ...shown } = state;
  return { key, state: shown, ...recent };
}

function totalsOf(keys: readonly KnownKey[], statistics: Statistics, now: number): Totals {
  const counts = { keys: keys.length, lookedAt: 0, held: 0, waiting: 0 };
  const totals = { ...counts, ...statistics.recentOfAll(now) };
  let oldest = Infinity;
  for (const { state } of keys) {
    if (state === undefined) continue;
    totals.lookedAt++;
    totals.held += state.held;
    totals.waiting += state.waiting;
    oldest = Math.min(oldest, state.oldestWaitSince ?? Infinity);
  }
  return { ...totals, oldestWaitSince: oldest === Infinity ? null : oldest };
}

export function semaphorePart(snapshot: StoreSnapshot, timeline: Timeline): SemaphorePart {
  const { key, permits, held, available, pinned, holders, waiters } = snapshot;
  const { waiting, oldestWaitSince } = stateOf(snapshot);
  return {
    key,
    permits,
    held,
    available,
    pinned,
    holding: holders.length,
    waiting,
    oldestWaitSince,
    holders: holders.slice(0, MAX_LISTED).map(({ expiresAt, ...holder }) => ({
      ...holder,
      expiresAt: Number.isFinite(expiresAt) ? expiresAt : null,
    })),
    waiters: waiters.slice(0, MAX_LISTED),
    timeline,
  };
}
