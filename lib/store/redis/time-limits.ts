import type { Clock } from '../clock.js';

/** One thing that must be over in time. */
export interface TimeLimit {
  readonly end: number;
  readonly giveUp: () => void;
}

/** Limits for many calls with one timer: nearly all are over before it fires, and cost none. */
export class TimeLimits {
  private readonly running = new Set<TimeLimit>();
  private ringsAt = Infinity;
  private stopTimer = (): void => undefined;

  constructor(private readonly clock: Clock) {}

  /** @param end by the clock; then `giveUp` is called, unless it was stopped before */
  start(end: number, giveUp: () => void): TimeLimit {
    const limit = { end, giveUp };
    this.running.add(limit);
    if (end < this.ringsAt) this.ringAt(end);
    return limit;
  }

  /** @returns false when it had been given up */
  stop(limit: TimeLimit): boolean {
    return this.running.delete(limit);
  }

  private ringAt(time: number): void {
    this.stopTimer();
    this.ringsAt = time;
    this.stopTimer = this.clock.schedule(this.ring, time - this.clock.now());
  }

  private readonly ring = (): void => {
    const now = this.clock.now();
    let next = Infinity;
    for (const limit of this.running) {
      // When this process stood still an answer may lie there unread: it is read before an immediate.
      if (limit.end <= now) setImmediate(() => this.expire(limit));
      else next = Math.min(next, limit.end);
    }
    this.ringsAt = Infinity;
    if (next !== Infinity) this.ringAt(next);
  };

  private expire(limit: TimeLimit): void {
    if (this.stop(limit)) limit.giveUp();
  }
}
