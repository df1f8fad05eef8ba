import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { PermitUnavailableError } from 'nestjs-semaphore';
import { pollUntil } from '../support/redis-admin.js';
import { startRedis, useRedis } from '../support/redis-server.js';
import { nextEvents, queued, rejection, Semaphores } from '../support/semaphores.js';
import { Workers } from '../support/workers.js';

const server = useRedis();

describe('A live holder', () => {
  test('is not driven out by a caller with a shorter lease or time limit', async () => {
    await using semaphores = new Semaphores({ redis: server.url });
    const [one, other] = [semaphores.open(), semaphores.open()];
    const permit = await one.acquire('k', { leaseMs: 30_000 });
    expect(await rejection(other.acquire('k', { leaseMs: 1, waitMs: 100 }))).toBeInstanceOf(
      PermitUnavailableError,
    );
    expect(await one.inspect('k')).toMatchObject({ holders: [{ id: permit.id }] });
    expect(await permit.release()).toBe('released');
  });

  test.each([10_000, -10_000])(
    'is safe from a process whose clock is %i ms ahead, and the other way round',
    async (aheadMs) => {
      await using semaphores = new Semaphores({ redis: server.url });
      await using workers = new Workers({ redis: server.url, keyPrefix: semaphores.prefix });
      const service = semaphores.open();
      const worker = await workers.start(aheadMs);

      const mine = await service.acquire('mine', { leaseMs: 3_000 });
      await expect(worker.call('acquire', 'mine', { waitMs: 100 })).rejects.toThrow('mine');
      expect(mine.isHeld).toBe(true);

      const { id } = await worker.call('acquire', 'theirs', { leaseMs: 3_000 });
      expect(await rejection(service.acquire('theirs', { waitMs: 100 }))).toMatchObject({
        reason: 'timeout',
      });
      expect(await worker.call('isHeld', id)).toBe(true);
      expect(await worker.call('release', id)).toBe('released');
      await mine.release();
    },
  );
});

describe('A holder whose lease is over', () => {
  test('does not believe to be the owner, lives on, and cannot free the next one', async () => {
    await using semaphores = new Semaphores({ redis: server.url });
    await using workers = new Workers({ redis: server.url, keyPrefix: semaphores.prefix });
    const service = semaphores.open();
    const worker = await workers.start();
    const options = { leaseMs: 200, renew: false };
    const { id, fencingToken } = await worker.call('acquire', 'k', options);
    const next = await service.acquire('k');
    expect(next.fencingToken).toBeGreaterThan(fencingToken);
    expect(await worker.call('isHeld', id)).toBe(false);
    expect(await worker.call('release', id)).toBe('expired');
    expect(await service.inspect('k')).toMatchObject({ holders: [{ id: next.id }] });
    await next.release();
  });

  test('is never revived by a renewal that races its release', async () => {
    await using semaphores = new Semaphores({ redis: server.url });
    const [one, other] = [semaphores.open(), semaphores.open()];
    const hold = async (key: string): Promise<void> => {
      for (let i = 0; i < 10; i++) {
        const permit = await one.acquire(key, { leaseMs: 90 });
        const renewing = permit.renew().catch(() => undefined);
        await delay(20 + (i % 5) * 5);
        const outcome = await permit.release();
        await renewing;
        expect(permit.isHeld).toBe(false);
        if (outcome === 'released') expect((await other.inspect(key)).held).toBe(0);
      }
    };
    await Promise.all(Array.from({ length: 20 }, (_, i) => hold(`k${i}`)));
  });
});

describe('Who gives up', () => {
  test('while the call is on its way leaves nothing held', async () => {
    await using semaphores = new Semaphores({ redis: server.url });
    const [one, other] = [semaphores.open(), semaphores.open()];
    await one.inspect('k');
    for (let i = 0; i < 50; i++) {
      const controller = new AbortController();
      const attempt = one.acquire('k', { signal: controller.signal });
      if (i % 2 === 0) await new Promise(process.nextTick);
      controller.abort();
      // The reply may have been faster.
      await attempt.then((permit) => permit.release()).catch(() => undefined);
    }
    await (await other.acquire('k', { waitMs: 1_000 })).release();
    expect(await other.inspect('k')).toMatchObject({ held: 0, waiters: [] });
  });

  test('at the moment of the hand-off swallows no permit', async () => {
    await using semaphores = new Semaphores({ redis: server.url });
    const [one, other] = [semaphores.open(), semaphores.open()];
    for (let i = 0; i < 50; i++) {
      const holder = await one.acquire('k');
      const controller = new AbortController();
      const { signal } = controller;
      const { outcome } = await queued(other, () => other.acquire('k', { signal }));
      const released = holder.release();
      if (i % 2 === 0) await new Promise(setImmediate);
      controller.abort();
      await outcome.then((permit) => permit.release()).catch(() => undefined);
      await released;
    }
    await (await one.acquire('k', { waitMs: 1_000 })).release();
    expect(await one.inspect('k')).toMatchObject({ held: 0, waiters: [] });
  });
});

test('a thousand callers of one mutex are all served with the defaults', async () => {
  await using semaphores = new Semaphores({ redis: server.url });
  const [one, other] = [semaphores.open(), semaphores.open()];
  let inside = 0;
  let most = 0;
  const calls = Array.from({ length: 1_000 }, (_, i) =>
    (i % 2 === 0 ? one : other).withPermit('k', async () => {
      most = Math.max(most, ++inside);
      await Promise.resolve();
      inside--;
      return i;
    }),
  );
  expect(await Promise.all(calls)).toHaveLength(1_000);
  expect(most).toBe(1);
});

test('many keys need one channel a process, and no script of their own', async () => {
  await using semaphores = new Semaphores({ redis: server.url });
  const [one, other] = [semaphores.open(), semaphores.open()];
  const keys = Array.from({ length: 200 }, (_, i) => `k${i}`);
  const held = await one.acquire(keys);
  const waiting = nextEvents(other, 'waiting', keys.length);
  const next = keys.map((key) => other.acquire(key));
  await waiting;
  expect(await server.admin.pubsub('CHANNELS', `${semaphores.prefix}*`)).toHaveLength(2);
  const scripts = /number_of_cached_scripts:(\d+)/.exec(await server.admin.info('memory'))?.[1];
  expect(Number(scripts)).toBeLessThanOrEqual(5);
  await held.release();
  for (const permit of await Promise.all(next)) await permit.release();
});

test('every key has an end, also while it is held or waited for, and none stays', async () => {
  await using semaphores = new Semaphores({ redis: server.url });
  const [one, other] = [semaphores.open(), semaphores.open()];
  const ours = (): Promise<string[]> => server.admin.keys(`${semaphores.prefix}*`);
  const held = await one.acquire('held', { permits: 2 });
  const { outcome } = await queued(other, () => other.acquire('held', { permits: 2, weight: 2 }));
  await (await one.acquire('idle')).release();
  const keys = await ours();
  expect(keys.length).toBeGreaterThanOrEqual(2);
  for (const key of keys) expect(await server.admin.pttl(key)).toBeGreaterThan(0);
  await held.release();
  await (await outcome).release();
  await pollUntil('all keys are gone', async () => (await ours()).length === 0, 10_000);
});

test('after FLUSHALL everybody can go on, and tokens still grow', async () => {
  await using flushed = await startRedis();
  await using semaphores = new Semaphores({ redis: flushed.url });
  const [one, other] = [semaphores.open(), semaphores.open()];
  const options = { permits: 2 };
  const holders = [await one.acquire('k', options), await other.acquire('k', options)];
  const first = await queued(one, () => one.acquire('k', options));
  const second = await queued(other, () => other.acquire('k', options));
  const admin = new Redis(flushed.port);
  try {
    const start = performance.now();
    await admin.flushall();
    const permits = await Promise.all([first.outcome, second.outcome]);
    expect(performance.now() - start).toBeLessThan(5_000);
    const last = Math.max(...holders.map(({ fencingToken }) => fencingToken));
    for (const { fencingToken } of permits) expect(fencingToken).toBeGreaterThan(last);
    expect(await one.tryAcquire('k', options)).toBeNull();
    await Promise.all([...holders, ...permits].map((permit) => permit.release()));
    const again = await Promise.all([one.acquire('k', options), other.acquire('k', options)]);
    expect(await other.inspect('k')).toMatchObject({ permits: 2, held: 2 });
    await Promise.all(again.map((permit) => permit.release()));
  } finally {
    admin.disconnect();
  }
});
