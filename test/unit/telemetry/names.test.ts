import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { MemorySemaphoreStore, SemaphoreService } from 'nestjs-semaphore';
import { VirtualClock } from 'nestjs-semaphore/testing';
import { aborted } from '../../support/semaphores.js';
import { Telemetry } from '../../support/telemetry.js';

let telemetry: Telemetry;

beforeEach(async () => {
  telemetry = await Telemetry.start();
});

afterEach(() => telemetry[Symbol.asyncDispose]());

test('names beyond the thousandth are measured together, and none is lost', async () => {
  const service = new SemaphoreService({ log: 'none' });
  for (let i = 0; i < 1_050; i++) {
    const permit = await service.acquire('k', { name: `name-${i}` });
    if (i < 1_020) await permit.release();
    else await service.forceRelease('k', permit.id);
  }
  await service.close();
  const samples = await telemetry.scrape();
  const overflow = ['otel_metric_overflow', 'true'] as const;
  const sum = (metric: string, [label, text]: readonly [string, string?] = ['']): number =>
    samples
      .filter((sample) => sample.metric === metric && sample.labels[label] === text)
      .reduce((total, { value }) => total + value, 0);
  for (const metric of ['semaphore_acquired_total', 'semaphore_hold_duration_count']) {
    expect(sum(metric)).toBe(1_050);
    expect(sum(metric, overflow)).toBe(50);
    expect(sum(metric, ['semaphore_name', 'name-999'])).toBe(1);
  }
  expect(sum('semaphore_lost_total', overflow)).toBe(30);
  expect(sum('semaphore_permits_held')).toBe(0);
});

test('of many names with many reasons, each is counted', async () => {
  const service = new SemaphoreService({ log: 'none' });
  const holder = await service.acquire('k', { name: 'holder' });
  const signal = AbortSignal.abort();
  for (let i = 0; i < 700; i++) {
    const name = `name-${i}`;
    const refused = await Promise.allSettled([
      service.acquire('k', { name, waitMs: 0 }),
      service.acquire('k', { name, maxWaiting: 0 }),
      service.acquire('k', { name, signal }),
    ]);
    expect(refused.every(({ status }) => status === 'rejected')).toBe(true);
  }
  await holder.release();
  await service.close();
  const samples = await telemetry.scrape();
  for (const name of ['semaphore_rejected_total', 'semaphore_wait_duration_count']) {
    const series = samples.filter(({ metric }) => metric === name);
    expect(series.length).toBeLessThan(2_000);
    const counts: Record<string, number> = {};
    for (const { labels, value } of series) {
      const { semaphore_reason: reason = 'acquired' } = labels;
      counts[reason] = (counts[reason] ?? 0) + value;
    }
    expect(counts).toMatchObject({ busy: 700, 'queue-full': 700, aborted: 700 });
  }
});

test('the first loss under a name is an increase, from 0', async () => {
  const clock = new VirtualClock();
  const service = new SemaphoreService({ store: new MemorySemaphoreStore({ clock }), log: 'none' });
  const lost = (): Promise<number[]> =>
    telemetry
      .scrape()
      .then((all) => all.filter(({ metric }) => metric === 'semaphore_lost_total'))
      .then((all) => all.map(({ value }) => value));
  await service.acquire('k', { name: 'job', leaseMs: 1_000, renew: false });
  expect(await lost()).toEqual([0]);
  await clock.advance(1_000);
  expect(await lost()).toEqual([1]);
  const other = await service.acquire('other', { name: 'other' });
  await service.forceRelease('other', other.id);
  await aborted(other.signal);
  expect((await lost()).toSorted((a, b) => a - b)).toEqual([0, 1, 1]);
  await service.close();
});
