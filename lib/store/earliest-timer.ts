import type { Clock, StopTimer } from './clock.js';

/** For leases: what ended while the machine slept is noticed within this time after it woke. */
export const NOTICED_WITHIN_MS = 1000;

/** One timer for many things that are due: it rings at the earliest time that it was told of, and is told anew then. */
export class EarliestTimer {
  private ringsAt = Infinity;
  private stopTimer: StopTimer = () => undefined;

  /** @param longestMs how late it may ring after the machine slept, when timers stand still and the clock does not */
  constructor(
    private readonly clock: Clock,
    private readonly onRing: () => void,
    private readonly longestMs = Infinity,
  ) {}

  /** @param time by the clock; Infinity: never */
  expect(time: number): void {
    if (time < this.ringsAt) this.ringAt(time);
  }

  stop(): void {
    this.stopTimer();
    this.ringsAt = Infinity;
  }

  private ringAt(time: number): void {
    this.stopTimer();
    this.ringsAt = time;
    const delayMs = Math.min(time - this.clock.now(), this.longestMs);
    this.stopTimer = this.clock.schedule(this.ring, delayMs);
  }

  private readonly ring = (): void => {
    if (this.ringsAt - this.clock.now() >= 1) {
      this.ringAt(this.ringsAt);
      return;
    }
    this.ringsAt = Infinity;
    this.onRing();
  };
}
