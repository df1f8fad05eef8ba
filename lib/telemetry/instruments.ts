import type { Counter, Histogram, OpenTelemetry } from './open-telemetry.js';

/** What the instruments and spans of this package belong to. */
export const SCOPE = 'nestjs-semaphore';

export interface Instruments {
  readonly waitDuration: Histogram;
  readonly holdDuration: Histogram;
  readonly held: Counter;
  readonly waiters: Counter;
  readonly acquired: Counter;
  readonly rejected: Counter;
  readonly lost: Counter;
}

/** Seconds: from a hand-over within the process to work of an hour. */
const BOUNDARIES = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600,
];

/** Undefined when nobody has registered a metrics SDK. */
export function createInstruments(api: OpenTelemetry): Instruments | undefined {
  const meter = api.metrics.getMeter(SCOPE);
  if (meter === api.createNoopMeter()) return undefined;
  const advice = { explicitBucketBoundaries: BOUNDARIES };
  return {
    waitDuration: meter.createHistogram('semaphore.wait.duration', {
      unit: 's',
      description: 'From the call of acquire to its permit or its rejection.',
      advice,
    }),
    holdDuration: meter.createHistogram('semaphore.hold.duration', {
      unit: 's',
      description: 'From the acquisition to the release or the loss of a permit.',
      advice,
    }),
    held: meter.createUpDownCounter('semaphore.permits.held', {
      unit: '{permit}',
      description: 'Weights that this process holds.',
    }),
    waiters: meter.createUpDownCounter('semaphore.waiters', {
      unit: '{waiter}',
      description: 'Acquisitions of this process that stand in a queue.',
    }),
    acquired: meter.createCounter('semaphore.acquired', {
      unit: '{acquisition}',
      description: 'Acquisitions that got their permit.',
    }),
    rejected: meter.createCounter('semaphore.rejected', {
      unit: '{acquisition}',
      description: 'Acquisitions that got none.',
    }),
    lost: meter.createCounter('semaphore.lost', {
      unit: '{acquisition}',
      description: 'Permits that were lost while they were held.',
    }),
  };
}
