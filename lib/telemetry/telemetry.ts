import type { Acquired, AcquisitionProbe, Probes } from '../core/acquisition-probe.js';
import type { ResolvedOptions } from '../resolve-options.js';
import type { LostReason } from '../semaphore.errors.js';
import type { RejectedReason } from '../semaphore.events.js';
import type { Clock } from '../store/clock.js';
import { type Instruments, instrumentsOf, SCOPE } from './instruments.js';
import { type Attributes, type Context, loadOpenTelemetry } from './open-telemetry.js';
import type { Tally } from './tallies.js';
import { WaitSpans } from './wait-spans.js';

/**
 * Metrics and spans of all acquisitions, through whatever OpenTelemetry SDK the application has registered. The metrics
 * API knows no late binding: an SDK for metrics that is registered after this call is not used.
 * @returns undefined when `@opentelemetry/api` is not installed
 */
export function startTelemetry(clock: Clock): Probes | undefined {
  const api = loadOpenTelemetry();
  if (api === undefined) return undefined;
  const instruments = instrumentsOf(api);
  const spans = new WaitSpans(api, clock, SCOPE);
  return {
    start(options) {
      try {
        const context = spans.contextOfCaller();
        if (instruments === undefined && context === undefined) return undefined;
        return new MeasuredAcquisition(options, clock, instruments, spans, context);
      } catch {
        return undefined;
      }
    },
    close: () => spans.make(),
  };
}

/** Whatever an SDK, or a processor of the user's, throws must not change what becomes of a permit. */
class MeasuredAcquisition implements AcquisitionProbe {
  private readonly tally: Tally | undefined;
  /** When it began to wait, then when it began to hold. */
  private since: number;
  private isQueued = false;
  /** What it holds. */
  private weight = 0;

  constructor(
    private readonly options: ResolvedOptions,
    private readonly clock: Clock,
    private readonly instruments: Instruments | undefined,
    private readonly spans: WaitSpans,
    /** Of the span; kept no longer than the wait, as it may hold on to a request. */
    private context: Context | undefined,
  ) {
    this.tally = instruments?.tallies.of(options.name);
    this.since = clock.now();
  }

  queued(): void {
    if (this.isQueued) return;
    this.isQueued = true;
    if (this.tally !== undefined) this.tally.waiting++;
  }

  acquired(permit: Acquired): void {
    const { tally, instruments } = this;
    const startedAt = this.lap();
    if (tally !== undefined) {
      this.endWait(tally, startedAt, tally.attributes);
      this.weight = permit.weight;
      tally.held += permit.weight;
      if (permit.degraded) instruments?.tallies.degraded.add(tally, true);
      else tally.acquired++;
    }
    this.tellSpan(startedAt, 'acquired', permit, undefined);
  }

  rejected(reason: RejectedReason, error: Error): void {
    const { tally, instruments } = this;
    const startedAt = this.lap();
    if (tally !== undefined && instruments !== undefined) {
      this.endWait(tally, startedAt, instruments.tallies.rejected.add(tally, reason));
    }
    this.tellSpan(startedAt, reason, undefined, error);
  }

  ended(how: 'released' | LostReason): void {
    const { tally, instruments } = this;
    if (tally === undefined || instruments === undefined) return;
    tally.held -= this.weight;
    const attributes =
      how === 'released' ? tally.attributes : instruments.tallies.lost.add(tally, how);
    instruments.holdDuration.record(this.secondsSince(this.lap()), attributes);
  }

  private tellSpan(
    startedAt: number,
    outcome: 'acquired' | RejectedReason,
    permit: Acquired | undefined,
    error: Error | undefined,
  ): void {
    const { options, context } = this;
    if (context === undefined) return;
    this.context = undefined;
    this.spans.add({ options, context, startedAt, endedAt: this.since, outcome, permit, error });
  }

  private endWait(tally: Tally, startedAt: number, attributes: Attributes): void {
    if (this.isQueued) tally.waiting--;
    this.instruments?.waitDuration.record(this.secondsSince(startedAt), attributes);
  }

  /** @returns when that began which is over now */
  private lap(): number {
    const { since } = this;
    this.since = this.clock.now();
    return since;
  }

  private secondsSince(startedAt: number): number {
    return (this.since - startedAt) / 1000;
  }
}
