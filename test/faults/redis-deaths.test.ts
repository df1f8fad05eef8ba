import { describe, expect, test } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { ALL_IS_WELL, Crew, KEY } from '../support/faults/crew.js';
import type { FaultWorker } from '../support/faults/fault-worker.js';
import { pollUntil, withRedis } from '../support/redis-admin.js';
import { type RedisServer, startRedis } from '../support/redis-server.js';

const STORE_TIMEOUT_MS = 2000;
const UNAVAILABLE = 'SEMAPHORE_STORE_UNAVAILABLE';

function startCrew(redis: RedisServer): Promise<Crew> {
  return Crew.start({ service: { redis: redis.url, storeTimeoutMs: STORE_TIMEOUT_MS } });
}

describe('Redis is killed', () => {
  test('and restarted empty: tokens grow on, fenced work stays exclusive', async () => {
    await using redis = await startRedis();
    await using crew = await startCrew(redis);
    await crew.contend({ options: { leaseMs: 1000 } });
    for (let round = 0; round < 3; round++) {
      await crew.progress();
      await redis.kill();
      await redis.restart();
    }
    await crew.progress();
    const outcome = await crew.settle({
      ports: [redis.port],
      refusals: [UNAVAILABLE],
      isFenced: true,
    });
    expect(outcome).toEqual(ALL_IS_WELL);
  });

  test('and restarted empty: holders learn at once that their permits are lost', async () => {
    await using redis = await startRedis();
    await using crew = await startCrew(redis);
    const holder = (i: number): FaultWorker => crew.workers[i % 2] as FaultWorker;
    const keys = ['one', 'two', 'without-end'];
    const leases = [60_000, 60_000, Infinity];
    await Promise.all(
      keys.map((key, i) => holder(i).call('take', key, key, { leaseMs: leases[i] as number })),
    );

    await redis.kill();
    await redis.restart();
    const restartedAt = performance.now();

    const lost = keys.map((key, i) => holder(i).call('lost', key));
    expect(await Promise.all(lost)).toEqual(keys.map(() => 'SEMAPHORE_PERMIT_LOST'));
    expect(performance.now() - restartedAt).toBeLessThan(5000);
    const given = keys.map((key, i) => holder(i).call('give', key));
    expect(await Promise.all(given)).toEqual(keys.map(() => 'expired'));
    expect(await crew.settle({ ports: [redis.port], keys })).toEqual(ALL_IS_WELL);
  });

  test('and restarted with its append-only file: permits and queue are still there', async () => {
    const args = ['--appendonly', 'yes', '--appendfsync', 'always'];
    await using redis = await startRedis({ args });
    await using crew = await startCrew(redis);
    const [holder, other] = crew.workers as [FaultWorker, FaultWorker];
    await holder.call('take', 'held', 'kept', { leaseMs: 20_000 });
    await other.call('enqueue', 'next', 'kept', { waitMs: 60_000 });
    await crew.contend({ options: { leaseMs: 1000 } });
    for (let round = 0; round < 3; round++) {
      await crew.progress();
      await redis.kill();
      await redis.restart();
    }
    await crew.progress();
    expect(await holder.call('give', 'held')).toBe('released');
    await other.call('taken', 'next');
    expect(await other.call('give', 'next')).toBe('released');
    const outcome = await crew.settle({
      ports: [redis.port],
      keys: [KEY, 'kept'],
      refusals: [UNAVAILABLE],
    });
    expect(outcome).toEqual(ALL_IS_WELL);
  });

  test('and stays away: every call ends within its time limits', async () => {
    await using redis = await startRedis();
    await using crew = await startCrew(redis);
    const waitMs = 500;
    await crew.contend({ options: { leaseMs: 1000, waitMs } });
    await crew.progress();
    await redis.kill();
    await delay(3 * STORE_TIMEOUT_MS);
    const calls = crew.journal.read().calls();
    const times = calls.map(({ asked, entered, refused }) => {
      const end = entered?.at ?? refused?.at;
      return end === undefined ? 0 : end - asked.at;
    });
    // What the machine may add to a timer while other tests run.
    const allowanceMs = 1000;
    expect(Math.max(...times)).toBeLessThan(waitMs + STORE_TIMEOUT_MS + allowanceMs);
    expect(crew.journal.of('refused').length).toBeGreaterThan(0);

    await redis.restart();
    await crew.progress();
    const outcome = await crew.settle({
      ports: [redis.port],
      refusals: [UNAVAILABLE, 'SEMAPHORE_TIMEOUT'],
      isFenced: true,
    });
    expect(outcome).toEqual(ALL_IS_WELL);
  });
});

describe('Redis stands still', () => {
  test('SIGSTOP beyond the leases: holders stop working before others may start', async () => {
    await using redis = await startRedis();
    await using crew = await startCrew(redis);
    await crew.contend({ holdMs: 800, options: { permits: 2, leaseMs: 600 } });
    for (let round = 0; round < 2; round++) {
      await crew.progress(3);
      redis.pause();
      await delay(1500);
      redis.resume();
    }
    await crew.progress(3);
    const outcome = await crew.settle({ ports: [redis.port], refusals: [UNAVAILABLE] });
    expect(outcome).toEqual(ALL_IS_WELL);
  });

  test('SIGSTOP beyond the time limit of a call: what was refused takes no permit afterwards', async () => {
    await using redis = await startRedis();
    await using crew = await startCrew(redis);
    await crew.contend({ options: { permits: 2, leaseMs: Infinity } });
    await crew.progress();
    redis.pause();
    await pollUntil('callers are refused', () =>
      Promise.resolve(crew.journal.read().of('refused').length > 0),
    );
    redis.resume();
    await crew.progress();
    const outcome = await crew.settle({ ports: [redis.port], refusals: [UNAVAILABLE] });
    expect(outcome).toEqual(ALL_IS_WELL);
  });

  test('CLIENT PAUSE of all commands, then of writes: the limit holds, and nothing is left behind', async () => {
    await using redis = await startRedis();
    await using crew = await startCrew(redis);
    await crew.contend({ options: { permits: 2, leaseMs: 600 } });
    for (const mode of ['ALL', 'WRITE'] as const) {
      await crew.progress();
      await withRedis(redis.port, (admin) => admin.call('CLIENT', 'PAUSE', '1000', mode));
    }
    await crew.progress();
    const outcome = await crew.settle({ ports: [redis.port], refusals: [UNAVAILABLE] });
    expect(outcome).toEqual(ALL_IS_WELL);
  });
});

describe('Redis forgets', () => {
  test('FLUSHALL again and again: tokens grow on, fenced work stays exclusive, nobody is stuck', async () => {
    await using redis = await startRedis();
    await using crew = await startCrew(redis);
    await crew.contend({ options: { leaseMs: 1000 } });
    for (let round = 0; round < 5; round++) {
      await crew.progress(5);
      await withRedis(redis.port, (admin) => admin.flushall());
    }
    await crew.progress();
    expect(await crew.settle({ ports: [redis.port], isFenced: true })).toEqual(ALL_IS_WELL);
  });

  test('SCRIPT FLUSH again and again: nobody notices', async () => {
    await using redis = await startRedis();
    await using crew = await startCrew(redis);
    await crew.contend({ options: { permits: 2, leaseMs: 1000 } });
    for (let round = 0; round < 20; round++) {
      await crew.progress(2);
      await withRedis(redis.port, (admin) => admin.script('FLUSH'));
    }
    await crew.progress();
    expect(await crew.settle({ ports: [redis.port] })).toEqual(ALL_IS_WELL);
  });
});
