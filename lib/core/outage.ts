import type { Clock, StopTimer } from '../store/clock.js';

/** A time in which the store cannot be reached. Those who wait for it are given up once it lasts too long. */
export class Outage {
  private since: number | undefined;
  private stopTimer: StopTimer | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly patienceMs: number,
    private readonly onTooLong: (error: Error) => void,
  ) {}

  /** @returns whether it begins now */
  begin(error: Error): boolean {
    if (this.since !== undefined) return false;
    this.since = this.clock.now();
    this.stopTimer = this.clock.schedule(() => this.onTooLong(error), this.patienceMs);
    return true;
  }

  /** @returns how long it lasted; undefined when there was none */
  end(): number | undefined {
    this.stopTimer?.();
    const lasted = this.since === undefined ? undefined : this.clock.now() - this.since;
    this.since = undefined;
    return lasted;
  }
}
