import type { Clock, StopTimer } from './clock.js';

/** One timer for many things that are due: it rings at the earliest time that it was told of, and is told anew then. */
export class EarliestTimer {
  private ringsAt = Infinity;
  private stopTimer: StopTimer = () => undefined;

  constructor(
    private readonly clock: Clock,
    private readonly onRing: () => void,
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
    this.stopTimer = this.clock.schedule(this.ring, time - this.clock.now());
  }

  private readonly ring = (): void => {
    this.ringsAt = Infinity;
    this.onRing();
  };
}
