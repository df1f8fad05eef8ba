import type { RejectedReason } from '../../semaphore.events.js';
import { Durations } from './durations.js';
import { Histories } from './histories.js';
import { type Interval, INTERVAL_MS, KEPT, type Reasons } from './interval.js';

/** How far back "recently" goes, in intervals: 5 minutes. */
const RECENT = 20;
const QUANTILES = [0.5, 0.95, 0.99];

/** p50, p95 and p99 in milliseconds; null where nothing happened. */
type Quantiles = (number | null)[];

export interface RecentCounts {
  rejected: number;
  lost: number;
}

/** Of one interval. */
interface Totals extends RecentCounts {
  readonly number: number;
}

/** Of one key in this process. The lists have one entry an interval, oldest first; the last one still grows. */
export interface Timeline {
  /** Epoch milliseconds at which the first interval begins. */
  from: number;
  /** Epoch milliseconds: what was before was not counted by this process, or is forgotten. */
  since: number;
  intervalMs: number;
  acquired: number[];
  rejected: number[];
  lost: number[];
  wait: Quantiles[];
  hold: Quantiles[];
  /** Over the whole time. */
  total: RecentCounts & { acquired: number; reasons: Reasons; wait: Quantiles; hold: Quantiles };
}

/** Counts and durations of the last 15 minutes by key, of what happens in this process, in bounded memory. */
export class Statistics {
  readonly since = Date.now();
  private readonly histories = new Histories();
  /** Of all keys together, also of those that are forgotten. */
  private readonly totals: Totals[] = [];
  private latest = 0;

  acquired(key: string, waitedMs: number, at = Date.now()): void {
    const interval = this.intervalOf(key, at);
    interval.acquired++;
    interval.waits.add(waitedMs);
  }

  rejected(key: string, reason: RejectedReason, at = Date.now()): void {
    // Callers that gave up by themselves were not rejected.
    if (reason === 'aborted' || reason === 'closed') return;
    const interval = this.intervalOf(key, at);
    interval.rejected++;
    count(interval.reasons, reason);
    this.total().rejected++;
  }

  ended(key: string, heldMs: number, isLost: boolean, at = Date.now()): void {
    const interval = this.intervalOf(key, at);
    interval.holds.add(heldMs);
    if (!isLost) return;
    interval.lost++;
    this.total().lost++;
  }

  recent(key: string, now: number): RecentCounts {
    return countRecent(this.histories.get(key).intervals, now);
  }

  recentOfAll(now: number): RecentCounts {
    return countRecent(this.totals, now);
  }

  timeline(key: string, now: number): Timeline {
    const first = numberOf(now) - KEPT + 1;
    const history = this.histories.get(key);
    const known = new Map(history.intervals.map((interval) => [interval.number, interval]));
    const intervals = Array.from({ length: KEPT }, (_, i) => known.get(first + i));
    const waits = intervals.map((interval) => interval?.waits);
    const holds = intervals.map((interval) => interval?.holds);
    const acquired = intervals.map((interval) => interval?.acquired ?? 0);
    const rejected = intervals.map((interval) => interval?.rejected ?? 0);
    const lost = intervals.map((interval) => interval?.lost ?? 0);
    return {
      from: first * INTERVAL_MS,
      since: Math.max(this.since, history.completeFrom * INTERVAL_MS),
      intervalMs: INTERVAL_MS,
      acquired,
      rejected,
      lost,
      wait: waits.map(quantilesOf),
      hold: holds.map(quantilesOf),
      total: {
        acquired: sum(acquired),
        rejected: sum(rejected),
        reasons: reasonsOf(history.intervals.filter(({ number }) => number >= first)),
        lost: sum(lost),
        wait: quantilesOf(merged(waits)),
        hold: quantilesOf(merged(holds)),
      },
    };
  }

  private intervalOf(key: string, at: number): Interval {
    // A wall clock that is set back must not bring the intervals out of order.
    this.latest = Math.max(this.latest, numberOf(at));
    return this.histories.intervalOf(key, this.latest);
  }

  /** The totals of the interval that is now. */
  private total(): Totals {
    const last = this.totals.at(-1);
    if (last?.number === this.latest) return last;
    const total = { number: this.latest, rejected: 0, lost: 0 };
    if (this.totals.push(total) > RECENT) this.totals.shift();
    return total;
  }
}

function countRecent(intervals: readonly Totals[], now: number): RecentCounts {
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

function count(reasons: Reasons, reason: RejectedReason, times = 1): void {
  reasons[reason] = (reasons[reason] ?? 0) + times;
}

function reasonsOf(intervals: readonly Interval[]): Reasons {
  const all: Reasons = {};
  for (const { reasons } of intervals) {
    for (const [reason, times] of Object.entries(reasons)) {
      count(all, reason as RejectedReason, times);
    }
  }
  return all;
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
