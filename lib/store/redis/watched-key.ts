import { ChurningMap } from '../../churning-map.js';
import type { Clock } from '../clock.js';
import { EarliestTimer } from '../earliest-timer.js';
import type { Sample } from './operations.js';
import type { PendingAcquire } from './pending-acquire.js';
import { ROUNDING_MS } from './script-format.js';
import { ENDLESS } from './scripts/embedded.js';

/** A key that somebody in this process waits for. */
export class WatchedKey {
  readonly entries = new ChurningMap<string, PendingAcquire>();
  /** Local time of the earliest lease end that is known: it moves with every hand-off, the timer only to ring earlier. */
  private wakeAt = Infinity;
  private readonly timer: EarliestTimer;

  /** @param toldAt when the server heard last that this process is alive */
  constructor(
    private readonly clock: Clock,
    public toldAt: number,
    private readonly onLeaseEnd: () => void,
  ) {
    this.timer = new EarliestTimer(clock, () => this.ring());
  }

  /** @param next when the next lease ends, by the server's clock */
  expect(next: number, sample: Sample): void {
    this.wakeAt =
      next >= ENDLESS ? Infinity : sample.sentAt + (next - sample.serverNow) + ROUNDING_MS;
    this.timer.expect(this.wakeAt);
  }

  stop(): void {
    this.timer.stop();
  }

  private ring(): void {
    if (this.wakeAt > this.clock.now()) this.timer.expect(this.wakeAt);
    else this.onLeaseEnd();
  }
}
