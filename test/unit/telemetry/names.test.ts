import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { SemaphoreService } from 'nestjs-semaphore';
import { Telemetry } from '../../support/telemetry.js';

let telemetry: Telemetry;

beforeAll(async () => {
  telemetry = await Telemetry.start();
});

afterAll(() => telemetry[Symbol.asyncDispose]());

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
