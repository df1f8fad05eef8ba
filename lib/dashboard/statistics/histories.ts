import { Interval, KEPT } from './interval.js';

/** Of all keys together. About 25 MB when every one of them saw much. */
const MAX_INTERVALS = 20_000;

/** What happened to one key. */
interface History {
  /** Oldest first; those in which nothing happened are missing. */
  readonly intervals: Interval[];
  /** The number of the first interval of which nothing was forgotten. */
  completeFrom: number;
}

/** The last 15 minutes of the keys, in bounded memory: of too many the keys that were idle for longest are forgotten first. */
export class Histories {
  /** In the order of their last intervals. */
  private readonly byKey = new Map<string, History>();
  private size = 0;
  /** The number of the last interval of which a key was forgotten. */
  private forgotten = -Infinity;

  get(key: string): Readonly<History> {
    return this.byKey.get(key) ?? this.newHistory();
  }

  /** @param number of the interval that is now: it never falls */
  intervalOf(key: string, number: number): Interval {
    const history = this.byKey.get(key) ?? this.newHistory();
    const last = history.intervals.at(-1);
    if (last?.number === number) return last;
    const interval = new Interval(number);
    history.intervals.push(interval);
    this.size++;
    this.byKey.delete(key);
    this.byKey.set(key, history);
    this.forgetOld(history, number - KEPT);
    this.forgetIdle(number - KEPT);
    return interval;
  }

  private newHistory(): History {
    return { intervals: [], completeFrom: this.forgotten + 1 };
  }

  private forgetOld({ intervals }: History, last: number): void {
    while (intervals[0] !== undefined && intervals[0].number <= last) {
      intervals.shift();
      this.size--;
    }
  }

  /** @param last number of the last interval that is of no use any more */
  private forgetIdle(last: number): void {
    for (const [key, history] of this.byKey) {
      this.forgetOld(history, last);
      while (this.size > MAX_INTERVALS && history.intervals.length > 0) {
        this.forgotten = Math.max(this.forgotten, this.forgetOldest(history));
      }
      if (history.intervals.length > 0) return;
      this.byKey.delete(key);
    }
  }

  private forgetOldest(history: History): number {
    const { number } = history.intervals.shift() as Interval;
    this.size--;
    history.completeFrom = number + 1;
    return number;
  }
}
