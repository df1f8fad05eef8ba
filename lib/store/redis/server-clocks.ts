import type { Clock } from '../clock.js';
import type { Sample } from './operations.js';

/** What the clocks of servers show, as far as their answers tell. */
export class ServerClocks {
  /** By slot in Cluster. */
  private readonly samples = new Map<number, Sample>();
  /**
   * The last of them, for slots that have not answered yet; at first what this machine's clock says. That is a guess, and
   * costs one more call when it is wrong: a server that refuses a call as too late tells its own time, by which it is sent again.
   */
  private newest: Sample;

  constructor(clock: Clock) {
    this.newest = { sentAt: clock.now(), serverNow: clock.wallTime() };
  }

  seen(slot: number, sample: Sample): void {
    this.samples.set(slot, sample);
    this.newest = sample;
  }

  /**
   * What the slot's server shows at a time of the local clock. By the slot's own sample that is never early: its server time
   * was read after `sentAt`.
   */
  timeAt(slot: number, time: number): number {
    const { sentAt, serverNow } = this.samples.get(slot) ?? this.newest;
    return Math.ceil(serverNow + (time - sentAt));
  }
}
