import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { trace } from '@opentelemetry/api';
import type { HrTime } from '@opentelemetry/api';
import { setTimeout as delay } from 'node:timers/promises';
import { SemaphoreService } from 'nestjs-semaphore';
import { nextEvent } from '../../support/semaphores.js';
import { Telemetry } from '../../support/telemetry.js';

const WAIT = 'semaphore wait crowd';
/** docs/telemetry.md: so many are made at once. */
const AT_ONCE = 256;

let telemetry: Telemetry;

beforeAll(async () => {
  telemetry = await Telemetry.start();
});

beforeEach(() => telemetry.forget());

afterAll(() => telemetry[Symbol.asyncDispose]());

async function pairs(service: SemaphoreService, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await (await service.acquire(`k${i}`, { name: 'crowd' })).release();
  }
}

function epochMs([seconds, nanoseconds]: HrTime): number {
  return seconds * 1000 + nanoseconds / 1e6;
}

test('spans of few waits are there as soon as these are over, those of a crowd a little later', async () => {
  const service = new SemaphoreService();
  await pairs(service, AT_ONCE);
  expect(telemetry.spans(WAIT)).toHaveLength(AT_ONCE);
  await pairs(service, 3);
  expect(telemetry.spans(WAIT)).toHaveLength(AT_ONCE);
  await telemetry.ended(WAIT, AT_ONCE + 3);
  // Three in a while are no crowd any more.
  await pairs(service, 1);
  expect(telemetry.spans(WAIT)).toHaveLength(AT_ONCE + 4);
  await service.close();
});

test('a crowd that goes on is told many at a time, and each of its waits once', async () => {
  const service = new SemaphoreService();
  const seen = new Set<number>();
  for (let i = 0; i < 2_000; i++) {
    await pairs(service, 1);
    seen.add(telemetry.spans(WAIT).length);
  }
  // One by one at first; after that no span was there alone.
  expect(seen.size).toBeLessThan(AT_ONCE + 50);
  expect(telemetry.spans(WAIT).length).toBeGreaterThan(1_800);
  await service.close();
  expect(telemetry.spans(WAIT)).toHaveLength(2_000);
  const ids = telemetry.spans(WAIT).map((span) => span.attributes['semaphore.permit.id']);
  expect(new Set(ids).size).toBe(2_000);
});

test('a span that is made later has the times and the parent of its wait', async () => {
  const service = new SemaphoreService();
  await pairs(service, AT_ONCE);
  telemetry.forget();
  const held = await service.acquire('k', { name: 'crowd' });
  const before = Date.now();
  const waiting = nextEvent(service, 'waiting');
  const { id, granted } = trace.getTracer('test').startActiveSpan('parent', (span) => {
    const { spanId } = span.spanContext();
    return { id: spanId, granted: service.acquire('k', { name: 'crowd' }) };
  });
  await waiting;
  await delay(30);
  await held.release();
  const permit = await granted;
  const after = Date.now();
  await permit.release();
  await service.close();
  const [, span] = telemetry.spans(WAIT);
  expect(span?.parentSpanContext?.spanId).toBe(id);
  expect(span?.attributes['semaphore.permit.id']).toBe(permit.id);
  const [startedAt, endedAt] = [
    epochMs(span?.startTime ?? [0, 0]),
    epochMs(span?.endTime ?? [0, 0]),
  ];
  // The wall clock is read once for all, and counts whole milliseconds.
  expect(startedAt).toBeGreaterThanOrEqual(before - 2);
  expect(endedAt).toBeLessThanOrEqual(after + 2);
  expect(endedAt - startedAt).toBeGreaterThan(28);
});

test('what is still to be told is told when the service closes', async () => {
  const service = new SemaphoreService();
  await pairs(service, AT_ONCE + 5);
  await service.close();
  expect(telemetry.spans(WAIT)).toHaveLength(AT_ONCE + 5);
});
