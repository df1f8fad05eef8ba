import { performance } from 'node:perf_hooks';
import { MAX_TIMER_MS } from '../limits.js';
import { outsideOfRequests } from '../outside-of-requests.js';

/** Where the library reads the time and sets its timers; tests exchange it for a virtual one. */
export interface Clock {
  /** Local monotonic time in milliseconds, from an arbitrary start. Never goes backwards. */
  now(): number;

  /** Local wall time as epoch milliseconds: for display and first guesses, never for a decision. */
  wallTime(): number;

  /**
   * Calls `task` once, `delayMs` from now; up to 2 ms earlier, so a task for which it is too early schedules another.
   * The timer does not keep the process alive.
   * @returns what stops it
   */
  schedule(task: () => void, delayMs: number): StopTimer;

  /** How late a timer may fire though nothing is wrong. Default 5: a permit counts as lost so long before its lease ends. */
  readonly timerSlackMs?: number;
}

/** Stops a timer; no effect when it has fired or was stopped. */
export type StopTimer = () => void;

/** A wall clock that is ahead of the monotonic one by less than this was only adjusted. */
const SLEPT_MS = 500;

class SystemClock implements Clock {
  private slept = 0;
  private reference = Date.now() - performance.now();

  /**
   * The monotonic clock stops while the machine sleeps, the leases in the store do not: what the wall clock
   * gained on it counts as time that has passed. A wall clock set back changes nothing.
   */
  now(): number {
    const monotonic = performance.now();
    const reference = Date.now() - monotonic;
    const gained = reference - this.reference;
    if (gained > SLEPT_MS) this.slept += gained;
    if (gained > SLEPT_MS || gained < -SLEPT_MS) this.reference = reference;
    return monotonic + this.slept;
  }

  wallTime(): number {
    return Date.now();
  }

  schedule(task: () => void, delayMs: number): StopTimer {
    const end = this.now() + delayMs;
    let timer: NodeJS.Timeout;
    const set = (): void => {
      const left = end - this.now();
      timer = outsideOfRequests(() =>
        left > MAX_TIMER_MS ? setTimeout(set, MAX_TIMER_MS) : setTimeout(task, Math.max(0, left)),
      );
      timer.unref();
    };
    set();
    return () => clearTimeout(timer);
  }
}

/** The machine's own clock. */
export const systemClock: Clock = new SystemClock();
