import { BatchedHistogram } from './batched-histogram.js';
import type { Histogram, Meter, Observable, Observe, OpenTelemetry } from './open-telemetry.js';
import { Tallies } from './tallies.js';

/** What the instruments and spans of this package belong to. */
export const SCOPE = 'nestjs-semaphore';

/** What is measured: noted here, and told when metrics are collected. */
export interface Instruments {
  readonly waitDuration: Histogram;
  readonly holdDuration: Histogram;
  readonly tallies: Tallies;
}

/** Seconds: from a hand-over within the process to work of an hour. */
const BOUNDARIES = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600,
];

/** All services of a process add to the same instruments: two callbacks would overwrite each other's values. */
const byMeter = new WeakMap<Meter, Instruments>();

/** Undefined when nobody has registered a metrics SDK. */
export function instrumentsOf(api: OpenTelemetry): Instruments | undefined {
  const meter = api.metrics.getMeter(SCOPE);
  if (meter === api.createNoopMeter()) return undefined;
  const known = byMeter.get(meter);
  if (known !== undefined) return known;
  const instruments = create(meter);
  byMeter.set(meter, instruments);
  return instruments;
}

function create(meter: Meter): Instruments {
  const advice = { explicitBucketBoundaries: BOUNDARIES };
  const held = meter.createObservableUpDownCounter('semaphore.permits.held', {
    unit: '{permit}',
    description: 'Weights that this process holds.',
  });
  const waiters = meter.createObservableUpDownCounter('semaphore.waiters', {
    unit: '{waiter}',
    description: 'Acquisitions of this process that stand in a queue.',
  });
  const acquired = meter.createObservableCounter('semaphore.acquired', {
    unit: '{acquisition}',
    description: 'Acquisitions that got their permit.',
  });
  const rejected = meter.createObservableCounter('semaphore.rejected', {
    unit: '{acquisition}',
    description: 'Acquisitions that got none.',
  });
  const lost = meter.createObservableCounter('semaphore.lost', {
    unit: '{acquisition}',
    description: 'Permits that were lost while they were held.',
  });
  const observables = { held, waiters, acquired, rejected, lost };
  const tallies = new Tallies();
  const histogram = (name: string, description: string): BatchedHistogram =>
    new BatchedHistogram(meter.createHistogram(name, { unit: 's', description, advice }));
  const waitDuration = histogram(
    'semaphore.wait.duration',
    'From the call of acquire to its permit or its rejection.',
  );
  const holdDuration = histogram(
    'semaphore.hold.duration',
    'From the acquisition to the release or the loss of a permit.',
  );
  // An SDK asks for these before it collects the histograms.
  meter.addBatchObservableCallback((result) => {
    waitDuration.flush();
    holdDuration.flush();
    read(tallies, observables, result);
  }, Object.values(observables));
  return { tallies, waitDuration, holdDuration };
}

type Observables = Record<'held' | 'waiters' | 'acquired' | 'rejected' | 'lost', Observable>;

function read(
  tallies: Tallies,
  { held, waiters, acquired, rejected, lost }: Observables,
  result: Observe,
): void {
  for (const tally of tallies) {
    const { attributes } = tally;
    result.observe(held, tally.held, attributes);
    result.observe(waiters, tally.waiting, attributes);
    result.observe(acquired, tally.acquired, attributes);
    // A counter that begins with 1 shows no increase: nobody would be alerted of the first loss.
    if (!tallies.lost.has(tally, 'expired')) {
      result.observe(lost, 0, { ...attributes, 'semaphore.reason': 'expired' });
    }
  }
  for (const { value, attributes } of tallies.degraded) {
    result.observe(acquired, value, attributes);
  }
  for (const { value, attributes } of tallies.rejected) {
    result.observe(rejected, value, attributes);
  }
  for (const { value, attributes } of tallies.lost) result.observe(lost, value, attributes);
}
