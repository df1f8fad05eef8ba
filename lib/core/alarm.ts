import { type ChurningMap, ChurningSet } from '../churning-map.js';
import type { Clock } from '../store/clock.js';
import { EarliestTimer, NOTICED_WITHIN_MS } from '../store/earliest-timer.js';

/** What is due at some time; Infinity: never. */
export interface Timed {
  readonly wakeAt: number;
}

/** Items due within this time are kept apart: the others are looked through once in it, however many timers fire. */
const WINDOW_MS = 250;

/**
 * One timer for all permits and waiters: most are gone before they are due, and cost no timer then.
 * `wake` may change `items`.
 */
export class Alarm<T extends Timed> {
  /** All items due before `windowEnd`, and some that are over. */
  private readonly soon = new ChurningSet<T>();
  private windowEnd = -Infinity;
  /** No other item is due before. */
  private later = Infinity;
  private readonly timer: EarliestTimer;

  constructor(
    private readonly clock: Clock,
    private readonly items: Pick<ChurningMap<string, T>, 'values'>,
    private readonly wake: (item: T, now: number) => void,
  ) {
    this.timer = new EarliestTimer(clock, () => this.ring(), NOTICED_WITHIN_MS);
  }

  /** To be called when an item is new, or is due at another time. */
  expect(item: T): void {
    const { wakeAt } = item;
    if (wakeAt < this.windowEnd) this.soon.add(item);
    else if (wakeAt < this.later) this.later = wakeAt;
    this.timer.expect(wakeAt);
  }

  stop(): void {
    this.timer.stop();
  }

  private ring(): void {
    const now = this.clock.now();
    if (now >= this.windowEnd) this.openWindow(now);
    let next = this.later;
    for (const item of this.soon) {
      if (item.wakeAt <= now) this.wake(item, now);
      if (item.wakeAt < this.windowEnd) next = Math.min(next, item.wakeAt);
      else this.soon.delete(item);
    }
    this.timer.expect(next);
  }

  private openWindow(now: number): void {
    this.soon.clear();
    this.windowEnd = now + WINDOW_MS;
    this.later = Infinity;
    for (const item of this.items.values()) {
      if (item.wakeAt < this.windowEnd) this.soon.add(item);
      else if (item.wakeAt < this.later) this.later = item.wakeAt;
    }
  }
}
