import { expect, test } from '@jest/globals';
import { MemorySemaphoreStore, type SemaphoreOptions, SemaphoreService } from 'nestjs-semaphore';
import { VirtualClock } from 'nestjs-semaphore/testing';
import { Collector } from '../../../lib/dashboard/collector/collector.js';
import { overviewOf } from '../../../lib/dashboard/collector/view.js';
import { queued } from '../../support/semaphores.js';

test('of many holders and waiters the first hundred are listed, and all are counted', async () => {
  await using place = open();
  const { service, collector } = place;
  for (let i = 0; i < 110; i++) await service.acquire('k', { permits: 110 });
  for (let i = 0; i < 105; i++) await waits(service, 'k', { permits: 110 });
  const { semaphore } = await collector.read({ type: 'semaphore', key: 'k' });
  expect(semaphore).toMatchObject({ holding: 110, waiting: 105 });
  expect([semaphore?.holders.length, semaphore?.waiters.length]).toEqual([100, 100]);
});

test('tells since when somebody waits for longest, of each key and of all', async () => {
  await using place = open();
  const { service, collector, clock } = place;
  for (const key of ['a', 'b', 'c']) await service.acquire(key);
  const first = clock.wallTime();
  await waits(service, 'b');
  await clock.advance(1_000);
  for (const priority of [1, -1]) await waits(service, 'b', { priority });
  await waits(service, 'c');
  const { overview } = await collector.read(overviewOf(new URLSearchParams()));
  const since = overview?.rows.map(({ state }) => state?.oldestWaitSince);
  expect(since).toEqual([null, first, first + 1_000]);
  expect(overview?.totals.oldestWaitSince).toBe(first);
});

function open() {
  const clock = new VirtualClock();
  const store = new MemorySemaphoreStore({ clock });
  const service = new SemaphoreService({ store, log: 'none' });
  const collector = new Collector(service);
  const close = async (): Promise<void> => {
    collector.close();
    await service.close();
  };
  return { clock, service, collector, [Symbol.asyncDispose]: close };
}

async function waits(service: SemaphoreService, key: string, options: SemaphoreOptions = {}) {
  const { outcome } = await queued(service, () =>
    service.acquire(key, { ...options, waitMs: Infinity }),
  );
  outcome.catch(() => undefined);
}
