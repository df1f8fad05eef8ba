import { describe, expect, it } from '@jest/globals';
import { filter, firstValueFrom } from 'rxjs';
import { setTimeout as delay } from 'node:timers/promises';
import {
  PermitLostError,
  type SemaphoreEvent,
  type SemaphoreModuleOptions,
  SemaphoreService,
  StoreUnavailableError,
} from 'nestjs-semaphore';
import { pollUntil, withRedis } from '../../support/redis-admin.js';
import { useRedis } from '../../support/redis-server.js';
import { uniquePrefix } from '../../support/unique-prefix.js';

/** Lines of README's table "What happens when…" that need no other process than a Redis server. */
describe('what happens when', () => {
  const redis = useRedis();

  /** Services of two processes, on the server and a prefix of their own. */
  async function withTwo(
    task: (one: SemaphoreService, other: SemaphoreService, prefix: string) => Promise<void>,
    options: SemaphoreModuleOptions = {},
  ): Promise<void> {
    const keyPrefix = uniquePrefix();
    const create = (): SemaphoreService =>
      new SemaphoreService({ redis: redis.url, keyPrefix, log: 'none', ...options });
    const [one, other] = [create(), create()];
    try {
      await task(one, other, keyPrefix);
    } finally {
      await Promise.all([one.close(), other.close()]);
    }
  }

  const waits = (service: SemaphoreService, key: string) =>
    pollUntil(`somebody waits for ${key}`, async () => {
      return (await service.inspect(key)).waiters.length === 1;
    });

  const lost = (signal: AbortSignal) =>
    pollUntil('the signal is aborted', async () => signal.aborted);

  it('Redis loses its data: waiters are put back, holders learn of it, tokens grow', async () => {
    await withTwo(async (one, other) => {
      const holder = await one.acquire('k', { leaseMs: 1_500 });
      const { signal } = holder;
      const waiter = other.acquire('k', { waitMs: 30_000 });
      await waits(one, 'k');

      await withRedis(redis.port, (admin) => admin.flushall());

      const permit = await waiter;
      expect(permit.fencingToken).toBeGreaterThan(holder.fencingToken);
      await lost(signal);
      expect(signal.reason).toBeInstanceOf(PermitLostError);
      expect(await holder.release()).toBe('expired');
      expect(await permit.release()).toBe('released');
    });
  });

  it('Redis does not answer: every call ends, and a holder is told before its lease ends', async () => {
    const options = { storeTimeoutMs: 1_200 };
    await withTwo(async (one, other) => {
      const holder = await one.acquire('k', { leaseMs: 1_000 });
      const { signal } = holder;
      const released = await one.acquire('r');
      await other.list().next();
      redis.pause();
      try {
        await expect(other.acquire('k')).rejects.toThrow(StoreUnavailableError);
        await expect(other.acquire('k')).rejects.toThrow(StoreUnavailableError);
        const degraded = await other.acquire('k', { onStoreFailure: 'allow' });
        expect(degraded).toMatchObject({ degraded: true, fencingToken: 0 });
        expect(await released.release()).toBe('released');
        await lost(signal);
        expect(holder.isHeld).toBe(false);
      } finally {
        redis.resume();
      }
      await pollUntil('what was released is given back', async () => {
        const { held } = await one.inspect('r');
        return held === 0;
      });
      await pollUntil('nothing is left of the calls whose outcome was unknown', async () => {
        const { held, waiters } = await one.inspect('k');
        return held === 0 && waiters.length === 0;
      });
      await pollUntil('the other one is connected again, and served', async () => {
        const permit = await other.acquire('k');
        return (await permit.release()) === 'released';
      });
    }, options);
  });

  it('Redis comes back in time: who waited goes on waiting, in its place', async () => {
    await withTwo(async (one, other) => {
      const holder = await one.acquire('k', { leaseMs: 60_000 });
      const first = other.acquire('k', { waitMs: 30_000, label: 'first' });
      await waits(one, 'k');
      redis.pause();
      const second = one.acquire('k', { waitMs: 30_000, label: 'second' });
      await delay(700);
      redis.resume();
      await pollUntil('both wait', async () => (await one.inspect('k')).waiters.length === 2);
      const { waiters } = await one.inspect('k');
      expect(waiters.map(({ label }) => label)).toEqual(['first', 'second']);
      await holder.release();
      await (await first).release();
      await (await second).release();
    });
  });

  it('SCRIPT FLUSH, and connections that break: nothing', async () => {
    await withTwo(async (one, other) => {
      const holder = await one.acquire('k');
      const waiter = other.acquire('k', { waitMs: 30_000 });
      await waits(one, 'k');
      await withRedis(redis.port, async (admin) => {
        await admin.script('FLUSH');
        await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
        await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
      });
      expect(await holder.release()).toBe('released');
      expect(await (await waiter).release()).toBe('released');
    });
  });

  it('Redis refuses writes: no new permits; held ones are renewed and given back', async () => {
    await withTwo(async (one, other) => {
      const holder = await one.acquire('k', { leaseMs: 1_000 });
      await withRedis(redis.port, async (admin) => {
        await admin.config('SET', 'maxmemory', '1');
        try {
          await expect(other.acquire('k2')).rejects.toThrow(StoreUnavailableError);
          await delay(1_500);
          expect(await holder.release()).toBe('released');
          expect((await one.inspect('k')).held).toBe(0);
        } finally {
          await admin.config('SET', 'maxmemory', '0');
        }
      });
      expect(await (await other.acquire('k')).release()).toBe('released');
    });
  });

  it('forceRelease: the holder is told, the next waiter served; a waiter is rejected', async () => {
    await withTwo(async (one, other) => {
      const holder = await one.acquire('k');
      const { signal } = holder;
      const waiter = one.acquire('k', { waitMs: 30_000 });
      await waits(other, 'k');
      expect(await other.forceRelease('k', holder.id)).toBe(true);
      const permit = await waiter;
      await lost(signal);
      expect(signal.reason).toMatchObject({ reason: 'forced' });
      expect(await holder.release()).toBe('expired');

      const next = one.acquire('k', { waitMs: 30_000 });
      const rejected = expect(next).rejects.toMatchObject({
        name: 'PermitLostError',
        reason: 'forced',
      });
      await waits(other, 'k');
      const [{ id } = { id: '' }] = (await other.inspect('k')).waiters;
      expect(await other.forceRelease('k', id)).toBe(true);
      await rejected;
      await permit.release();
    });
  });

  it('processes pass different permits: the last number holds, an event tells', async () => {
    await withTwo(async (one, other) => {
      await (await one.acquire('k', { permits: 2 })).release();
      const isChange = ({ type }: SemaphoreEvent): boolean => type === 'permits-changed';
      const told = firstValueFrom(other.events.pipe(filter(isChange)));
      await (await other.acquire('k', { permits: 3 })).release();
      expect(await told).toMatchObject({ key: 'k', permits: 3, previous: 2, pinned: false });
      expect((await one.inspect('k')).permits).toBe(3);
    });
  });

  it('all is released: keys expire within seconds, a limit by setPermits after a year', async () => {
    await withTwo(async (one, other, prefix) => {
      await one.setPermits('pinned', 2);
      const holder = await one.acquire('k');
      const waiter = other.acquire('k', { waitMs: 30_000 });
      await waits(one, 'k');
      await holder.release();
      await (await waiter).release();
      const crashed = await one.acquire('pinned', { leaseMs: 500, renew: false });

      const year = 365 * 24 * 3_600_000;
      await withRedis(redis.port, async (admin) => {
        const ttls = await Promise.all(
          (await admin.keys(`${prefix}:*`)).map(
            async (key) => [key, await admin.pttl(key)] as const,
          ),
        );
        expect(ttls.length).toBeGreaterThanOrEqual(2);
        for (const [key, ttl] of ttls) {
          const atMost = key.includes('{pinned}') ? year : 10_000;
          expect(ttl).toBeGreaterThan(key.includes('{pinned}') ? year - 60_000 : -1);
          expect(ttl).toBeLessThanOrEqual(atMost);
        }
      });
      await crashed.release();
    });
  });
});
