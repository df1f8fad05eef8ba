import type { Acquired, AcquisitionProbe, StartProbe } from '../core/acquisition-probe.js';
import type { LostReason } from '../semaphore.errors.js';
import type { RejectedReason } from '../semaphore.events.js';
import type { ResolvedOptions } from '../resolve-options.js';
import type { Clock } from '../store/clock.js';
import { type Instruments, instrumentsOf, SCOPE } from './instruments.js';
import { type Attributes, type Histogram, loadOpenTelemetry } from './open-telemetry.js';
import type { Tally } from './tallies.js';
import { WaitSpan } from './wait-span.js';

/**
 * Metrics and spans of all acquisitions, through whatever OpenTelemetry SDK the application has registered. The metrics
 * API knows no late binding: an SDK for metrics that is registered after this call is not used.
 * @returns undefined when `@opentelemetry/api` is not installed
 */
export function startTelemetry(clock: Clock): StartProbe | undefined {
  const api = loadOpenTelemetry();
  if (api === undefined) return undefined;
  const instruments = instrumentsOf(api);
  const tracer = api.trace.getTracer(SCOPE);
  return (options) => {
    try {
      const span = WaitSpan.start(api, tracer, options.name, options.weight);
      if (instruments === undefined && span === undefined) return undefined;
      return new MeasuredAcquisition(options, clock, instruments, span);
    } catch {
      return undefined;
    }
  };
}

/** Whatever an SDK, or a processor of the user's, throws must not change what becomes of a permit. */
class MeasuredAcquisition implements AcquisitionProbe {
  private readonly tally: Tally | undefined;
  private readonly weight: number;
  /** When it began to wait, then when it began to hold. */
  private since: number;
  private isQueued = false;

  constructor(
    { name, weight }: ResolvedOptions,
    private readonly clock: Clock,
    private readonly instruments: Instruments | undefined,
    private span: WaitSpan | undefined,
  ) {
    this.tally = instruments?.tallies.of(name);
    this.weight = weight;
    this.since = clock.now();
  }

  queued(): void {
    if (this.isQueued) return;
    this.isQueued = true;
    if (this.tally !== undefined) this.tally.waiting++;
  }

  acquired(permit: Acquired): void {
    const { tally } = this;
    if (tally !== undefined) {
      this.endWait(tally, tally.attributes);
      tally.held += this.weight;
      if (permit.degraded) tally.degraded++;
      else tally.acquired++;
    }
    this.span?.acquired(permit);
    this.span = undefined;
  }

  rejected(reason: RejectedReason, error: Error): void {
    const { tally } = this;
    if (tally !== undefined) this.endWait(tally, tally.count(tally.rejected, reason));
    this.span?.rejected(reason, error);
    this.span = undefined;
  }

  ended(how: 'released' | LostReason): void {
    const { tally } = this;
    if (tally === undefined) return;
    tally.held -= this.weight;
    const attributes = how === 'released' ? tally.attributes : tally.count(tally.lost, how);
    this.lap(this.instruments?.holdDuration, attributes);
  }

  private endWait(tally: Tally, attributes: Attributes): void {
    if (this.isQueued) tally.waiting--;
    this.lap(this.instruments?.waitDuration, attributes);
  }

  /** Measures the time since the last call. */
  private lap(histogram: Histogram | undefined, attributes: Attributes): void {
    const now = this.clock.now();
    const seconds = (now - this.since) / 1000;
    this.since = now;
    if (histogram !== undefined) this.instruments?.durations.add(histogram, seconds, attributes);
  }
}
