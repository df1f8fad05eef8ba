import type { Clock, StopTimer } from '../store/clock.js';
import { scheduleAfterReading } from './after-reading.js';
import type { Sample } from './remote.calls.js';

/** So often within the grace time the server hears of this process. */
const SIGNS_A_GRACE = 6;

/**
 * For how long this process may believe what the server said. A server that loses the stream keeps everything for the grace
 * time; it had the stream when it answered the last call, and so did not begin to count before that call was sent.
 */
export class RemoteTrust {
  private sample: Sample = { server: '', now: 0, sentAt: -Infinity };
  /** When the last call was sent that the server has answered. */
  private provenAt = -Infinity;
  private stopTimer: StopTimer | undefined;

  constructor(
    private readonly clock: Clock,
    private graceMs: number,
    private readonly on: {
      /** @returns whether there is anything that needs trust */
      isNeeded(): boolean;
      /** Gives the server a sign of life, and asks for one. */
      ask(withinMs: number): void;
      /** The trust has run out. */
      ended(): void;
    },
  ) {}

  /**
   * The stream is open. That proves nothing yet of what was held before: leases that were shortened meanwhile are made long
   * again by the first calls.
   * @param graceMs as the server has it
   */
  opened(sample: Sample, graceMs: number): void {
    this.graceMs = graceMs;
    this.sample = sample;
    this.watch();
  }

  answered(sample: Sample): void {
    if (sample.server !== this.sample.server) return;
    this.sample = sample;
    this.provenAt = Math.max(this.provenAt, sample.sentAt);
    this.watch();
  }

  get server(): string {
    return this.sample.server;
  }

  /** From the clock of the server that the stream is open at. */
  readonly toLocal = (time: number): number => this.sample.sentAt + (time - this.sample.now);

  stop(): void {
    this.stopTimer?.();
    // No other one is set, whatever is still answered.
    this.stopTimer = () => undefined;
  }

  private get periodMs(): number {
    return this.graceMs / SIGNS_A_GRACE;
  }

  private watch(): void {
    this.stopTimer ??= scheduleAfterReading(this.clock, () => this.check(), this.periodMs);
  }

  private check(): void {
    this.stopTimer = undefined;
    if (!this.on.isNeeded()) return;
    const silentMs = this.clock.now() - this.provenAt;
    // Before the next check it would have run out.
    if (silentMs + this.periodMs >= this.graceMs) this.on.ended();
    else if (silentMs >= this.periodMs / 2) this.on.ask(3 * this.periodMs);
    this.watch();
  }
}
