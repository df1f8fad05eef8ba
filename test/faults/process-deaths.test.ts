import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { ALL_IS_WELL, Crew, KEY } from '../support/faults/crew.js';
import type { FaultWorker } from '../support/faults/fault-worker.js';
import { pollUntil, withRedis } from '../support/redis-admin.js';
import { useRedis } from '../support/redis-server.js';

/** How long the store may need beyond the end of a lease to grant it again. */
const HAND_OVER_MS = 250;
/** How long a dead waiter or a lost message may hold up others. */
const BLOCKED_AT_MOST_MS = 5000;

const redis = useRedis();

function startCrew(workers = 2): Promise<Crew> {
  return Crew.start({ workers, service: { redis: redis.url, storeTimeoutMs: 5000 } });
}

describe('kill -9', () => {
  test('of a holder: 50 of 50 permits are granted again within 250 ms of their leases', async () => {
    await using crew = await startCrew(3);
    const [victim, ...others] = crew.workers as [FaultWorker, ...FaultWorker[]];
    const other = (i: number): FaultWorker => others[i % others.length] as FaultWorker;
    const keys = Array.from({ length: 50 }, (_, i) => `k${i}`);
    const options = { leaseMs: 1500, waitMs: 20_000 };
    const held = await Promise.all(keys.map((key) => victim.call('take', key, key, options)));
    await Promise.all(keys.map((key, i) => other(i).call('enqueue', key, key, options)));
    const leaseEnds = (): Promise<number[]> =>
      Promise.all(
        keys.map(async (key) => {
          const { holders } = await other(0).call('inspect', key);
          return Number(holders[0]?.expiresAt);
        }),
      );
    await pollUntil('the permits have been renewed', async () =>
      (await leaseEnds()).every((end, i) => end > Number(held[i]?.expiresAt)),
    );

    await victim.kill();
    const ends = await leaseEnds();
    const next = await Promise.all(keys.map((key, i) => other(i).call('taken', key)));

    // Both by the server's clock.
    const gaps = next.map(({ acquiredAt }, i) => acquiredAt - Number(ends[i]));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(HAND_OVER_MS);
    await Promise.all(keys.map((key, i) => other(i).call('give', key)));
    expect(await crew.settle({ ports: [redis.port], keys })).toEqual(ALL_IS_WELL);
  });

  test('of a waiter at the head of the queue: nobody is blocked for longer than 5 s', async () => {
    await using crew = await startCrew(3);
    const [holder, victim, next] = crew.workers as [FaultWorker, FaultWorker, FaultWorker];
    const options = { waitMs: 20_000 };
    await holder.call('take', 'held', KEY, options);
    await victim.call('enqueue', 'dead', KEY, options);
    await next.call('enqueue', 'next', KEY, options);

    await victim.kill();
    const killedAt = performance.now();
    await holder.call('give', 'held');
    await next.call('taken', 'next');

    expect(performance.now() - killedAt).toBeLessThan(BLOCKED_AT_MOST_MS);
    await next.call('give', 'next');
    expect(await crew.settle({ ports: [redis.port] })).toEqual(ALL_IS_WELL);
  });

  test('of a waiter that none waits beside for long: it keeps out and is seen by nobody after 5 s', async () => {
    await using crew = await startCrew(3);
    const [holder, victim, next] = crew.workers as [FaultWorker, FaultWorker, FaultWorker];
    const options = { permits: 3, waitMs: 20_000 };
    for (const key of [KEY, 'watched']) {
      await holder.call('take', key, key, { ...options, weight: 2 });
      await victim.call('enqueue', key, key, { ...options, weight: 2 });
    }
    expect((await next.call('inspect', 'watched')).waiters).toHaveLength(1);

    await victim.kill();
    const killedAt = performance.now();
    const attempt = (): Promise<unknown> =>
      next.call('take', 'short', KEY, { ...options, waitMs: 50 }).catch(() => undefined);
    while ((await attempt()) === undefined) await delay(200);
    expect(performance.now() - killedAt).toBeLessThan(BLOCKED_AT_MOST_MS);
    await pollUntil('it is seen no more', async () => {
      const { waiters } = await next.call('inspect', 'watched');
      return waiters.length === 0;
    });
    expect(performance.now() - killedAt).toBeLessThan(BLOCKED_AT_MOST_MS + 2500);

    await next.call('give', 'short');
    for (const key of [KEY, 'watched']) await holder.call('give', key);
    const expected = { keys: [KEY, 'watched'], refusals: ['SEMAPHORE_TIMEOUT'] };
    expect(await crew.settle({ ports: [redis.port], ...expected })).toEqual(ALL_IS_WELL);
  });

  test('of the process that is being granted: the grant lapses within 5 s', async () => {
    await using crew = await startCrew(3);
    const [holder, victim, next] = crew.workers as [FaultWorker, FaultWorker, FaultWorker];
    const options = { waitMs: 20_000 };
    await holder.call('take', 'held', KEY, options);
    await victim.call('enqueue', 'dead', KEY, options);
    await next.call('enqueue', 'next', KEY, options);

    // Stopped, it cannot take the grant; then it dies with it.
    victim.pause();
    await holder.call('give', 'held');
    const grantedAt = performance.now();
    await pollUntil('the grant is made', async () => {
      const { holders } = await next.call('inspect', KEY);
      return holders.length > 0;
    });
    await victim.kill();
    await next.call('taken', 'next');

    expect(performance.now() - grantedAt).toBeLessThan(BLOCKED_AT_MOST_MS);
    await next.call('give', 'next');
    expect(await crew.settle({ ports: [redis.port] })).toEqual(ALL_IS_WELL);
  });

  test('of processes that contend, one after another', async () => {
    await using crew = await startCrew(4);
    await crew.contend({ fibers: 4, options: { permits: 2, leaseMs: 1000 } });
    await crew.progress(5);
    for (const victim of crew.workers.slice(0, 2)) {
      await victim.kill();
      await crew.progress(5);
    }
    expect(await crew.settle({ ports: [redis.port] })).toEqual(ALL_IS_WELL);
  });
});

describe('a process that stands still', () => {
  test('SIGSTOP of a holder beyond its lease: it stops working, and its release says expired', async () => {
    await using crew = await startCrew();
    const [frozen, other] = crew.workers as [FaultWorker, FaultWorker];
    const options = { leaseMs: 800, waitMs: 20_000 };
    await frozen.call('take', 'held', KEY, options);
    await other.call('enqueue', 'next', KEY, options);

    frozen.pause();
    await other.call('taken', 'next');
    frozen.resume();

    expect(await frozen.call('lost', 'held')).toBe('SEMAPHORE_PERMIT_LOST');
    expect(await frozen.call('give', 'held')).toBe('expired');
    expect(await other.call('give', 'next')).toBe('released');
    expect(await crew.settle({ ports: [redis.port] })).toEqual(ALL_IS_WELL);
  });

  test('SIGSTOP of processes that contend, again and again beyond the lease', async () => {
    await using crew = await startCrew(3);
    await crew.contend({ fibers: 4, options: { permits: 2, leaseMs: 500 } });
    await crew.progress(5);
    for (const frozen of crew.workers) {
      frozen.pause();
      await crew.progress(
        5,
        crew.workers.filter((worker) => worker !== frozen),
      );
      await delay(1000);
      frozen.resume();
      await crew.progress(5);
    }
    expect(await crew.settle({ ports: [redis.port] })).toEqual(ALL_IS_WELL);
  });

  test('a function that is frozen between its calls, with renew: false: the next call is served', async () => {
    await using crew = await startCrew();
    const [frozen, other] = crew.workers as [FaultWorker, FaultWorker];
    const options = { leaseMs: 1500, renew: false, waitMs: 20_000 };
    for (let round = 0; round < 3; round++) {
      const first = `first-${round}`;
      await frozen.call('take', first, KEY, options);
      // Frozen in the middle of its work in one round, between two calls in the others.
      if (round > 0) expect(await frozen.call('give', first)).toBe('released');
      frozen.pause();
      await other.call('take', `other-${round}`, KEY, options);
      await withRedis(redis.port, (admin) => admin.call('CLIENT', 'KILL', 'SKIPME', 'yes'));
      expect(await other.call('give', `other-${round}`)).toBe('released');
      frozen.resume();
      if (round === 0) expect(await frozen.call('give', first)).toBe('expired');
      await frozen.call('take', `next-${round}`, KEY, options);
      expect(await frozen.call('give', `next-${round}`)).toBe('released');
    }
    expect(await crew.settle({ ports: [redis.port] })).toEqual(ALL_IS_WELL);
  });

  test('an event loop that is blocked beyond the lease', async () => {
    await using crew = await startCrew(3);
    await crew.contend({ fibers: 4, options: { permits: 2, leaseMs: 500 } });
    await crew.progress(5);
    for (const blocked of crew.workers.slice(0, 2)) {
      await blocked.call('block', 1500);
      await crew.progress(5);
    }
    expect(await crew.settle({ ports: [redis.port] })).toEqual(ALL_IS_WELL);
  });

  test('a lease without an end outlives its holder, until it is released by force', async () => {
    await using crew = await startCrew(3);
    const [victim, next, other] = crew.workers as [FaultWorker, FaultWorker, FaultWorker];
    const { id } = await victim.call('take', 'held', KEY, { leaseMs: Infinity });
    await next.call('enqueue', 'next', KEY, { waitMs: 20_000 });
    await victim.kill();
    await delay(2000);
    const { holders, waiters } = await other.call('inspect', KEY);
    expect([holders[0]?.id, holders[0]?.expiresAt, waiters.length]).toEqual([id, Infinity, 1]);
    await other.call('forceRelease', KEY, id);
    await next.call('taken', 'next');
    await next.call('give', 'next');
    expect(await crew.settle({ ports: [redis.port] })).toEqual(ALL_IS_WELL);
  });
});
