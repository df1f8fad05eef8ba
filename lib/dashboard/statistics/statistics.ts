import type { RejectedReason } from '../../semaphore.events.js';
import { Durations } from './durations.js';
import { Interval, INTERVAL_MS } from './interval.js';

/** How far back the plots go, in intervals: 15 minutes. */
const KEPT = 60;
/** How far back "recently" goes, in intervals: 5 minutes. */
const RECENT = 20;
/** Of all keys together: the oldest go first. About 25 MB when every one of them saw much. */
const MAX_INTERVALS = 20_000;
const QUANTILES = [0.5, 0.95, 0.99];

/** p50, p95 and p99 in milliseconds; null where nothing happened. */
export type Quantiles = (number | null)[];

export interface RecentCounts {
  rejected: number;
  lost: number;
}

/** Of one key in this process. The lists have one entry an interval, oldest first; the last one still grows. */
export interface Timeline {
  /** Epoch milliseconds at which the first interval begins. */
  from: number;
  /** Epoch milliseconds since when this process counts. */
  since: number;
  intervalMs: number;
  acquired: number[];
  rejected: number[];
  lost: number[];
  wait: Quantiles[];
  hold: Quantiles[];
  /** Over the whole time. */
  total: { acquired: number; rejected: number; lost: number; wait: Quantiles; hold: Quantiles };
}

/** Counts and durations of the last 15 minutes by key, of what happens in this process, in bounded memory. */
export class Statistics {
  readonly since = Date.now();
  private readonly byKey = new Map<string, Interval[]>();
  /** Of all keys, in the order of their making, which is the order of their time. */
  private readonly all = new Set<Interval>();
  private latest = 0;

  acquired(key: string, waitedMs: number, at = Date.now()): void {
    const interval = this.intervalOf(key, at);
    interval.acquired++;
    interval.waits.add(waitedMs);
  }

  rejected(key: string, reason: RejectedReason, at = Date.now()): void {
    // Callers that gave up by themselves were not rejected.
    if (reason !== 'aborted' && reason !== 'closed') this.intervalOf(key, at).rejected++;
  }

  ended(key: string, heldMs: number, isLost: boolean, at = Date.now()): void {
    const interval = this.intervalOf(key, at);
    if (isLost) interval.lost++;
    interval.holds.add(heldMs);
  }

  recent(key: string, now: number): RecentCounts {
    return countRecent(this.byKey.get(key) ?? [], now);
  }

  recentOfAll(now: number): RecentCounts {
    return countRecent(this.all, now);
  }

  timeline(key: string, now: number): Timeline {
    const first = numberOf(now) - KEPT + 1;
    const known = new Map(this.byKey.get(key)?.map((interval) => [interval.number, interval]));
    const intervals = Array.from({ length: KEPT }, (_, i) => known.get(first + i));
    const waits = intervals.map((interval) => interval?.waits);
    const holds = intervals.map((interval) => interval?.holds);
    const acquired = intervals.map((interval) => interval?.acquired ?? 0);
    const rejected = intervals.map((interval) => interval?.rejected ?? 0);
    const lost = intervals.map((interval) => interval?.lost ?? 0);
    return {
      from: first * INTERVAL_MS,
      since: this.since,
      intervalMs: INTERVAL_MS,
      acquired,
      rejected,
      lost,
      wait: waits.map(quantilesOf),
      hold: holds.map(quantilesOf),
      total: {
        acquired: sum(acquired),
        rejected: sum(rejected),
        lost: sum(lost),
        wait: quantilesOf(merged(waits)),
        hold: quantilesOf(merged(holds)),
      },
    };
  }

  private intervalOf(key: string, at: number): Interval {
    // A wall clock that is set back must not bring the intervals out of order.
    this.latest = Math.max(this.latest, numberOf(at));
    let intervals = this.byKey.get(key);
    const last = intervals?.at(-1);
    if (last?.number === this.latest) return last;
    const interval = new Interval(key, this.latest);
    if (intervals === undefined) this.byKey.set(key, (intervals = []));
    intervals.push(interval);
    this.all.add(interval);
    this.forgetOldest();
    return interval;
  }

  private forgetOldest(): void {
    for (const interval of this.all) {
      if (this.all.size <= MAX_INTERVALS && interval.number > this.latest - KEPT) return;
      this.all.delete(interval);
      const intervals = this.byKey.get(interval.key);
      intervals?.shift();
      if (intervals?.length === 0) this.byKey.delete(interval.key);
    }
  }
}

function countRecent(intervals: Iterable<Interval>, now: number): RecentCounts {
  const counts = { rejected: 0, lost: 0 };
  const first = numberOf(now) - RECENT + 1;
  for (const { number, rejected, lost } of intervals) {
    if (number < first) continue;
    counts.rejected += rejected;
    counts.lost += lost;
  }
  return counts;
}

function numberOf(at: number): number {
  return Math.floor(at / INTERVAL_MS);
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}

function merged(parts: readonly (Durations | undefined)[]): Durations {
  const all = new Durations();
  for (const part of parts) if (part) all.addAll(part);
  return all;
}

function quantilesOf(durations: Durations | undefined): Quantiles {
  return durations?.quantiles(QUANTILES) ?? QUANTILES.map(() => null);
}
