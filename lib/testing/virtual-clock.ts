import { setImmediate } from 'node:timers/promises';
import { duration } from '../option-rules.js';
import { InvalidOptionsError } from '../semaphore.errors.js';
import type { Clock, StopTimer } from '../store/clock.js';

const STEP = duration(0);

interface Timer {
  at: number;
  task: () => void;
}

/**
 * A clock that stands still until it is told to go on: tests of leases and timeouts become exact, and take no time.
 * @example
 * const clock = new VirtualClock();
 * const semaphores = new SemaphoreService({ store: new MemorySemaphoreStore({ clock }) });
 * await clock.advance(30_000);
 */
export class VirtualClock implements Clock {
  /** A hair, so that a holder hears of the end of its lease before the store gives the permit to another. */
  readonly timerSlackMs = 0.001;
  private time = 0;
  /** In the order in which they fire. */
  private readonly timers: Timer[] = [];

  /**
   * @param startsAt what the wall clock shows at first, as epoch milliseconds
   * @default startsAt the year 2030
   * @throws {InvalidOptionsError}
   */
  constructor(private readonly startsAt = Date.UTC(2030, 0, 1)) {
    if (Number.isFinite(startsAt)) return;
    throw new InvalidOptionsError('startsAt', startsAt, 'a number of milliseconds');
  }

  now(): number {
    return this.time;
  }

  wallTime(): number {
    return this.startsAt + this.time;
  }

  /** How many timers have been set and have neither fired nor been stopped. */
  get pendingTimers(): number {
    return this.timers.length;
  }

  schedule(task: () => void, delayMs: number): StopTimer {
    const timer = { at: this.time + Math.max(0, delayMs), task };
    const after = this.timers.findLastIndex((other) => other.at <= timer.at);
    this.timers.splice(after + 1, 0, timer);
    return () => {
      const index = this.timers.indexOf(timer);
      if (index >= 0) this.timers.splice(index, 1);
    };
  }

  /**
   * Lets time pass: fires the timers that become due, in order, and lets promises settle before each and at the end.
   * @throws {InvalidOptionsError} `ms` is no time: it goes on only
   */
  async advance(ms: number): Promise<void> {
    if (!STEP.holds(ms)) throw new InvalidOptionsError('ms', ms, STEP.text);
    const end = this.time + ms;
    await setImmediate();
    for (let next = this.timers[0]; next && next.at <= end; next = this.timers[0]) {
      this.timers.shift();
      this.time = next.at;
      next.task();
      await setImmediate();
    }
    // Another call may have gone further meanwhile.
    this.time = Math.max(this.time, end);
  }
}
