import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import type { SemaphoreService } from 'nestjs-semaphore';
import { watchedSignals } from '../../lib/cancel/on-abort.js';
import { leftovers } from '../support/faults/leftovers.mjs';
import { TcpProxy } from '../support/faults/tcp-proxy.js';
import { pollUntil, withRedis } from '../support/redis-admin.js';
import { type RedisServer, startRedis } from '../support/redis-server.js';
import { readCounts } from '../support/redis-watch.js';
import { nextEvent, nextEvents, queued, rejection, Semaphores } from '../support/semaphores.js';

const KEY = 'key';
const STORE_TIMEOUT_MS = 500;
const UNAVAILABLE = { code: 'SEMAPHORE_STORE_UNAVAILABLE' };

/** Redis does not answer for longer than anybody waits for it. */
async function outage(redis: RedisServer, meanwhile: () => Promise<unknown>): Promise<void> {
  redis.pause();
  await meanwhile();
  await delay(3 * STORE_TIMEOUT_MS);
  redis.resume();
}

describe('a waiter that was given up while Redis did not answer', () => {
  test('leaves the queue when Redis answers again', async () => {
    await using redis = await startRedis();
    await using semaphores = new Semaphores({ redis: redis.url });
    const [holder, other] = [
      semaphores.open(),
      semaphores.open({ storeTimeoutMs: STORE_TIMEOUT_MS }),
    ];
    const held = await holder.acquire(KEY, { leaseMs: 600_000 });
    const options = { waitMs: 1000, leaseMs: 60_000 };
    const { outcome } = await queued(other, () => other.acquire(KEY, options));
    await outage(redis, () => rejection(outcome));
    const isEmpty = async (): Promise<boolean> => (await holder.inspect(KEY)).waiters.length === 0;
    await pollUntil('the queue is empty', isEmpty, 5000);
    await held.release();
    expect(await holder.inspect(KEY)).toMatchObject({ holders: [], waiters: [] });
  });

  test('holds nothing for ever with an endless lease', async () => {
    await using redis = await startRedis();
    await using semaphores = new Semaphores({ redis: redis.url, storeTimeoutMs: STORE_TIMEOUT_MS });
    const service = semaphores.open();
    const held = await service.acquire(KEY, { leaseMs: Infinity });
    const options = { waitMs: 1000, leaseMs: Infinity };
    const { outcome } = await queued(service, () => service.acquire(KEY, options));
    const up = nextEvent(service, 'store-up');
    await outage(redis, () => rejection(outcome));
    await up;
    expect(await held.release()).toBe('released');
    const isFree = async (): Promise<boolean> => (await service.inspect(KEY)).held === 0;
    await pollUntil('nobody holds', isFree, 5000);
    const permit = await service.tryAcquire(KEY);
    expect(await permit?.release()).toBe('released');
  });
});

test("who waits by onStoreFailure 'local' waits for Redis again when it is back", async () => {
  await using redis = await startRedis();
  await using semaphores = new Semaphores({ redis: redis.url, storeTimeoutMs: STORE_TIMEOUT_MS });
  const [service, other] = [semaphores.open(), semaphores.open()];
  const held = await other.acquire(KEY);
  const local = () => service.acquire(KEY, { onStoreFailure: 'local' });
  await service.inspect(KEY);
  const up = nextEvent(service, 'store-up');
  redis.pause();
  const first = await local();
  const { outcome } = await queued(service, local);
  redis.resume();
  await up;
  const isInQueue = async (): Promise<boolean> => (await other.inspect(KEY)).waiters.length === 1;
  await pollUntil('it waits for Redis', isInQueue, 2000);
  await first.release();
  await held.release();
  expect(await outcome).toMatchObject({ isHeld: true, degraded: false });
});

test('connections that were accepted and then met with silence are given up for new ones', async () => {
  await using redis = await startRedis();
  await using proxy = await TcpProxy.start(redis.port);
  await using semaphores = new Semaphores({ redis: proxy.url, storeTimeoutMs: STORE_TIMEOUT_MS });
  const service = semaphores.open();
  await (await service.acquire(KEY)).release();
  proxy.fault = { isHalfOpen: true };
  expect(await rejection(service.acquire(KEY))).toMatchObject(UNAVAILABLE);
  await delay(3 * STORE_TIMEOUT_MS);
  // The old connections stay silent.
  proxy.fault = {};
  const healedAt = performance.now();
  await nextEvent(service, 'store-up');
  expect(performance.now() - healedAt).toBeLessThan(2 * STORE_TIMEOUT_MS + 500);
  expect(await (await service.acquire(KEY)).release()).toBe('released');
});

test('connections that died without a word while nobody used them cost no call', async () => {
  await using redis = await startRedis();
  await using proxy = await TcpProxy.start(redis.port);
  await using semaphores = new Semaphores({ redis: proxy.url, storeTimeoutMs: STORE_TIMEOUT_MS });
  const service = semaphores.open();
  await (await service.acquire(KEY)).release();
  const up = nextEvent(service, 'store-up');
  proxy.silence();
  await up;
  expect(await (await service.acquire(KEY)).release()).toBe('released');
});

test('inspect and list answer although their connection breaks', async () => {
  await using redis = await startRedis();
  await using proxy = await TcpProxy.start(redis.port);
  await using semaphores = new Semaphores({ redis: proxy.url });
  const service = semaphores.open();
  const held = await service.acquire(KEY);
  const read = async (): Promise<[number, string[]]> => {
    const { held: count } = await service.inspect(KEY);
    const keys: string[] = [];
    for await (const key of service.list()) keys.push(key);
    return [count, keys];
  };
  proxy.cut();
  // Nobody has noticed yet, and then nothing can be sent for a while.
  const first = read();
  await nextEvent(service, 'store-down');
  expect(await Promise.all([first, read()])).toEqual([
    [1, [KEY]],
    [1, [KEY]],
  ]);
  await held.release();
});

test('an outage is told with a reason of its own, not with that of an earlier one', async () => {
  await using redis = await startRedis();
  await using semaphores = new Semaphores({ redis: redis.url, storeTimeoutMs: STORE_TIMEOUT_MS });
  const service = semaphores.open();
  await (await service.acquire(KEY)).release();
  const up = nextEvent(service, 'store-up');
  await outage(redis, () => rejection(service.acquire(KEY)));
  await up;
  const down = nextEvent(service, 'store-down');
  await redis.kill();
  expect((await down).error.message).not.toContain('did not answer');
});

test('20,000 acquires that fail while Redis is away leave nothing behind and hold nothing up', async () => {
  await using redis = await startRedis();
  await using semaphores = new Semaphores({ redis: redis.url, storeTimeoutMs: STORE_TIMEOUT_MS });
  const service = semaphores.open();
  await (await service.acquire(KEY)).release();
  await redis.kill();
  await rejection(service.acquire(KEY));
  const codes = new Set<unknown>();
  const took: number[] = [];
  for (let i = 0; i < 20; i++) {
    const begun = performance.now();
    const batch = Array.from({ length: 1000 }, (_, n) =>
      rejection(service.acquire(`key-${n % 50}`)),
    );
    for (const error of await Promise.all(batch)) codes.add((error as { code: string }).code);
    took.push(performance.now() - begun);
  }
  // What would be tried again would be by now.
  const idle = performance.eventLoopUtilization();
  await delay(1500);
  const { utilization } = performance.eventLoopUtilization(idle);
  expect(codes).toEqual(new Set([UNAVAILABLE.code]));
  expect(took.toSorted((a, b) => a - b)[took.length / 2]).toBeLessThan(500);
  expect(utilization).toBeLessThan(0.3);
  const left = Object.values(leftovers({ service, watchedSignals })).reduce(
    (sum, size) => sum + size,
    0,
  );
  // The one whose call may have been under way when the connection broke, and what is under way to take it back.
  expect(left).toBeLessThanOrEqual(4);
});

test('without its replicas, acquires fail in time and no permit that was there before is lost', async () => {
  await using redis = await startRedis({ args: ['--repl-diskless-sync-delay', '0'] });
  const replica = await startRedis({ args: ['--replicaof', `${redis.host} ${redis.port}`] });
  await withRedis(redis.port, (admin) =>
    pollUntil('the replica confirms what is written', async () => {
      await admin.set('written', '1', 'PX', 1);
      return (await admin.wait(1, 100)) === 1;
    }),
  );
  const replicaTimeoutMs = 500;
  const leaseMs = 3000;
  await using semaphores = new Semaphores({ redis: redis.url, minReplicas: 1, replicaTimeoutMs });
  const service = semaphores.open();
  const held = await service.acquire(KEY, { leaseMs });
  await replica.stop();
  const goneAt = performance.now();
  while (performance.now() - goneAt < 2 * leaseMs) {
    const askedAt = performance.now();
    const acquires = Array.from({ length: 12 }, (_, i) => service.acquire(`other-${i}`));
    const errors = await Promise.all(acquires.map((acquire) => rejection(acquire)));
    expect(errors).toMatchObject(errors.map(() => UNAVAILABLE));
    expect(performance.now() - askedAt).toBeLessThan(2 * replicaTimeoutMs + 700);
  }
  expect(held.isHeld).toBe(true);
  expect((await service.inspect(KEY)).holders.map(({ id }) => id)).toEqual([held.id]);
  expect(await held.release()).toBe('released');
});

test('replicas that are awaited for longer than a call may take are no outage', async () => {
  await using redis = await startRedis();
  await using semaphores = new Semaphores({
    redis: redis.url,
    storeTimeoutMs: 900,
    minReplicas: 1,
    replicaTimeoutMs: 1000.5,
  });
  const service = semaphores.open();
  const told: string[] = [];
  service.events.subscribe(({ type }) => told.push(type));
  expect(await rejection(service.acquire(KEY))).toMatchObject({
    ...UNAVAILABLE,
    message: expect.stringContaining('0 of 1 replicas confirmed the grant within 300 ms'),
  });
  expect(told).toEqual(['rejected']);
});

test('acquires that fail because their key is something else cause no commands afterwards', async () => {
  await using redis = await startRedis();
  await using semaphores = new Semaphores({ redis: redis.url });
  const service = semaphores.open();
  const admin = new Redis(redis.port);
  try {
    await admin.hset(`${semaphores.prefix}:{${KEY}}`, 'a', 1);
    for (let i = 0; i < 200; i++) {
      const error = await rejection(service.acquire(KEY));
      expect(error).toMatchObject({ detail: expect.stringContaining('WRONGTYPE') });
    }
    const good = ['a', 'b', 'c'].map((key) => service.acquire(key));
    const together = Array.from({ length: 200 }, () => rejection(service.acquire(KEY)));
    expect(await Promise.all(together)).toHaveLength(200);
    for (const permit of await Promise.all(good)) await permit.release();
    const before = await readCounts(admin);
    await delay(3000);
    const after = await readCounts(admin);
    expect(after.total - before.total - 1).toBeLessThanOrEqual(3);
    expect(leftovers({ service, watchedSignals })).toEqual({});
  } finally {
    admin.disconnect();
  }
});

describe('a release that was done says so', () => {
  test('when its reply was lost and it was sent again', async () => {
    await using redis = await startRedis();
    await using proxy = await TcpProxy.start(redis.port);
    await using semaphores = new Semaphores({ redis: proxy.url });
    const service = semaphores.open();
    const other = semaphores.open({ redis: redis.url });
    const [lone, shared] = await Promise.all([
      service.acquire('alone'),
      service.acquire('shared', { permits: 2 }),
    ]);
    await other.acquire('shared', { permits: 2 });
    proxy.fault = { dropReplies: true };
    const outcomes = Promise.all([lone.release(), shared.release()]);
    await pollUntil('both are released', async () => {
      const holders = await holdersOf(other, ['alone', 'shared']);
      return holders.flat().length === 1;
    });
    proxy.heal();
    proxy.cut();
    expect(await outcomes).toEqual(['released', 'released']);
  });

  test('when it travelled with a call on a key of a wrong type', async () => {
    await using redis = await startRedis();
    await using semaphores = new Semaphores({ redis: redis.url });
    const service = semaphores.open();
    const permit = await service.acquire('good');
    await withRedis(redis.port, (admin) => admin.hset(`${semaphores.prefix}:{bad}`, 'a', 1));
    const released = permit.release();
    expect(await rejection(service.acquire('bad'))).toMatchObject(UNAVAILABLE);
    expect(await released).toBe('released');
  });
});

test('while the memory of Redis is full, held permits are renewed and released', async () => {
  await using redis = await startRedis();
  await using semaphores = new Semaphores({ redis: redis.url });
  const [one, other] = [semaphores.open(), semaphores.open()];
  const keys = ['alone', 'shared'];
  const permits = await Promise.all(
    keys.map((key) => one.acquire(key, { permits: 2, leaseMs: 1000 })),
  );
  const neighbour = await other.acquire('shared', { permits: 2, leaseMs: Infinity });
  await withRedis(redis.port, (admin) =>
    admin.config('SET', 'maxmemory', '1', 'maxmemory-policy', 'noeviction'),
  );
  expect(await rejection(one.acquire('new'))).toMatchObject(UNAVAILABLE);
  // Three times the lease, and more.
  await nextEvents(one, 'renewed', 2 * 9);
  expect(permits.map(({ isHeld }) => isHeld)).toEqual([true, true]);
  for (const permit of [...permits, neighbour]) expect(await permit.release()).toBe('released');
  expect(await holdersOf(one, keys)).toEqual([[], []]);
});

test('while the memory of Redis is full, nobody gets a permit, of whatever kind', async () => {
  await using redis = await startRedis();
  await using semaphores = new Semaphores({ redis: redis.url });
  const [one, other] = [semaphores.open(), semaphores.open()];
  await one.setPermits('pinned', 2);
  const held = await one.acquire('pinned');
  await withRedis(redis.port, (admin) =>
    admin.config('SET', 'maxmemory', '1', 'maxmemory-policy', 'noeviction'),
  );
  const endless = { leaseMs: Infinity };
  for (const acquire of [other.acquire('new', endless), other.acquire('pinned')]) {
    expect(await rejection(acquire)).toMatchObject(UNAVAILABLE);
  }
  // In one call, with what the memory must not keep anybody from.
  const [released, acquired] = await Promise.all([held.release(), one.acquire('new', endless)]);
  expect(released).toBe('released');
  expect(await acquired.release()).toBe('released');
});

function holdersOf(service: SemaphoreService, keys: readonly string[]): Promise<unknown[]> {
  return Promise.all(keys.map(async (key) => (await service.inspect(key)).holders));
}
