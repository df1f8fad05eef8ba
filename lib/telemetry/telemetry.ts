import type { AcquisitionProbe, StartProbe } from '../core/acquisition-probe.js';
import type { Permit } from '../core/permit.js';
import type { LostReason } from '../semaphore.errors.js';
import type { RejectedReason } from '../semaphore.events.js';
import type { ResolvedOptions } from '../semaphore.options.js';
import type { Clock } from '../store/clock.js';
import { createInstruments, type Instruments, SCOPE } from './instruments.js';
import { loadOpenTelemetry } from './open-telemetry.js';
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
  return (options) =>
    quietly(() => {
      const span = WaitSpan.start(api, tracer, options.name, options.weight);
      return instruments === undefined && span === undefined
        ? undefined
        : new MeasuredAcquisition(options, clock, instruments, span);
    });
}

class MeasuredAcquisition implements AcquisitionProbe {
  private readonly name: string;
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
    this.name = name;
    this.weight = weight;
    this.since = clock.now();
  }

  queued(): void {
    if (this.isQueued) return;
    this.isQueued = true;
    quietly(() => this.instruments?.waiters.add(1, this.named()));
  }

  acquired(permit: Permit): void {
    this.waited('acquired');
    quietly(() => this.instruments?.held.add(this.weight, this.named()));
    quietly(() =>
      this.instruments?.acquired.add(1, {
        ...this.named(),
        'semaphore.degraded': permit.degraded,
      }),
    );
    quietly(() => this.span?.acquired(permit));
    this.span = undefined;
  }

  rejected(reason: RejectedReason, error: Error): void {
    this.waited(reason);
    quietly(() =>
      this.instruments?.rejected.add(1, { ...this.named(), 'semaphore.reason': reason }),
    );
    quietly(() => this.span?.rejected(reason, error));
    this.span = undefined;
  }

  ended(how: 'released' | LostReason): void {
    quietly(() => this.instruments?.held.add(-this.weight, this.named()));
    quietly(() =>
      this.instruments?.holdDuration.record(this.lap(), {
        ...this.named(),
        'semaphore.outcome': how,
      }),
    );
    if (how === 'released') return;
    quietly(() => this.instruments?.lost.add(1, { ...this.named(), 'semaphore.reason': how }));
  }

  private waited(outcome: 'acquired' | RejectedReason): void {
    if (this.isQueued) quietly(() => this.instruments?.waiters.add(-1, this.named()));
    const seconds = this.lap();
    const attributes = { ...this.named(), 'semaphore.outcome': outcome };
    quietly(() => this.instruments?.waitDuration.record(seconds, attributes));
  }

  /** Seconds since the last call. */
  private lap(): number {
    const now = this.clock.now();
    const seconds = (now - this.since) / 1000;
    this.since = now;
    return seconds;
  }

  private named(): { 'semaphore.name': string } {
    return { 'semaphore.name': this.name };
  }
}

/** Whatever an SDK, or a processor of the user's, throws must not change what becomes of a permit. */
function quietly<T>(measure: () => T): T | undefined {
  try {
    return measure();
  } catch {
    return undefined;
  }
}
