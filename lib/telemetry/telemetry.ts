import type { Acquired, AcquisitionProbe, StartProbe } from '../core/acquisition-probe.js';
import type { LostReason } from '../semaphore.errors.js';
import type { RejectedReason } from '../semaphore.events.js';
import type { ResolvedOptions } from '../semaphore.options.js';
import type { Clock } from '../store/clock.js';
import { createInstruments, type Instruments, SCOPE } from './instruments.js';
import { type Attributes, loadOpenTelemetry } from './open-telemetry.js';
import { WaitSpan } from './wait-span.js';

/**
 * Metrics and spans of all acquisitions, through whatever OpenTelemetry SDK the application has registered. The metrics
 * API knows no late binding: an SDK for metrics that is registered after this call is not used.
 * @returns undefined when `@opentelemetry/api` is not installed
 */
export function startTelemetry(clock: Clock): StartProbe | undefined {
  const api = loadOpenTelemetry();
  if (api === undefined) return undefined;
  const instruments = createInstruments(api);
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

/**
 * Whatever an SDK, or a processor of the user's, throws must not change what becomes of a permit. Attributes that say
 * nothing in the usual case are left out then: they cost more than all the rest.
 */
class MeasuredAcquisition implements AcquisitionProbe {
  private readonly attributes: Attributes;
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
    this.attributes = { 'semaphore.name': name };
    this.weight = weight;
    this.since = clock.now();
  }

  queued(): void {
    if (this.isQueued) return;
    this.isQueued = true;
    try {
      this.instruments?.waiters.add(1, this.attributes);
    } catch {}
  }

  acquired(permit: Acquired): void {
    try {
      this.endWait(this.attributes);
      this.instruments?.held.add(this.weight, this.attributes);
      this.instruments?.acquired.add(
        1,
        permit.degraded ? { ...this.attributes, 'semaphore.degraded': true } : this.attributes,
      );
      this.span?.acquired(permit);
    } catch {}
    this.span = undefined;
  }

  rejected(reason: RejectedReason, error: Error): void {
    const attributes = { ...this.attributes, 'semaphore.reason': reason };
    try {
      this.endWait(attributes);
      this.instruments?.rejected.add(1, attributes);
      this.span?.rejected(reason, error);
    } catch {}
    this.span = undefined;
  }

  ended(how: 'released' | LostReason): void {
    const isLost = how !== 'released';
    const attributes = isLost ? { ...this.attributes, 'semaphore.reason': how } : this.attributes;
    try {
      this.instruments?.held.add(-this.weight, this.attributes);
      this.instruments?.holdDuration.record(this.lap(), attributes);
      if (isLost) this.instruments?.lost.add(1, attributes);
    } catch {}
  }

  private endWait(attributes: Attributes): void {
    if (this.isQueued) this.instruments?.waiters.add(-1, this.attributes);
    this.instruments?.waitDuration.record(this.lap(), attributes);
  }

  /** Seconds since the last call. */
  private lap(): number {
    const now = this.clock.now();
    const seconds = (now - this.since) / 1000;
    this.since = now;
    return seconds;
  }
}
