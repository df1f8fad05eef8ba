import { expect, test } from '@jest/globals';
import { BatchedHistogram } from '../../../lib/telemetry/batched-histogram.js';
import type { Attributes } from '../../../lib/telemetry/open-telemetry.js';

const ATTRIBUTES = { 'semaphore.name': 'reports' };

function histogram() {
  const recorded: [seconds: number, attributes: Attributes][] = [];
  return {
    recorded,
    record: (seconds: number, attributes: Attributes) => {
      recorded.push([seconds, attributes]);
      if (seconds === 13) throw new Error('no such number');
    },
  };
}

test('durations are recorded when metrics are collected, each once and in their order', () => {
  const own = histogram();
  const batched = new BatchedHistogram(own);
  for (const seconds of [3, 1, 2]) batched.record(seconds, ATTRIBUTES);
  expect(own.recorded).toEqual([]);
  batched.flush();
  batched.flush();
  expect(own.recorded).toEqual([3, 1, 2].map((seconds) => [seconds, ATTRIBUTES]));
});

test('they do not gather without a bound when nobody collects', () => {
  const own = histogram();
  const batched = new BatchedHistogram(own);
  for (let i = 0; i < 10_000; i++) batched.record(i, ATTRIBUTES);
  expect(own.recorded.length).toBeGreaterThan(9500);
});

test('what the SDK throws at one of them harms no other', () => {
  const own = histogram();
  const batched = new BatchedHistogram(own);
  for (const seconds of [12, 13, 14]) batched.record(seconds, ATTRIBUTES);
  batched.flush();
  expect(own.recorded).toHaveLength(3);
});
