import { setImmediate } from 'node:timers';
import { ChurningSet } from '../churning-map.js';
import type { Clock } from './clock.js';
import { EarliestTimer } from './earliest-timer.js';

/** One thing that must be over in time. */
interface TimeLimit {
  readonly end: number;
  readonly giveUp: () => void;
}

/** Limits for many calls with one timer: nearly all are over before it fires, and cost none. */
export class TimeLimits {
  private readonly running = new ChurningSet<TimeLimit>();
  private readonly timer: EarliestTimer;

  constructor(private readonly clock: Clock) {
    this.timer = new EarliestTimer(clock, () => this.ring());
  }

  /** How many are running. */
  get count(): number {
    return this.running.size;
  }

  /** @param end by the clock; then `giveUp` is called, unless it was stopped before */
  start(end: number, giveUp: () => void): TimeLimit {
    const limit = { end, giveUp };
    this.running.add(limit);
    this.timer.expect(end);
    return limit;
  }

  /** @returns false when it had been given up */
  stop(limit: TimeLimit): boolean {
    return this.running.delete(limit);
  }

  private ring(): void {
    const now = this.clock.now();
    let next = Infinity;
    for (const limit of this.running) {
      // When this process stood still an answer may lie there unread: it is read before an immediate.
      if (limit.end <= now) setImmediate(() => this.expire(limit));
      else next = Math.min(next, limit.end);
    }
    this.timer.expect(next);
  }

  private expire(limit: TimeLimit): void {
    if (this.stop(limit)) limit.giveUp();
  }
}
