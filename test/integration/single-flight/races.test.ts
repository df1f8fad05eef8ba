import { describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { TcpProxy } from '../../support/faults/tcp-proxy.js';
import { Job, type Pilot, Pilots, untilFollowed } from '../../support/flights.js';
import { withRedis } from '../../support/redis-admin.js';
import { useRedis } from '../../support/redis-server.js';
import { turns } from '../../support/turns.js';

const server = useRedis();

const ROUNDS = 30;
const PROCESSES = 4;

describe('races between processes on Redis', () => {
  it('refresh a stale result once, also when that is over before others have begun', async () => {
    await using pilots = new Pilots({ redis: server.url });
    const all = Array.from({ length: PROCESSES }, () => pilots.join());
    const options = { ttlMs: 60_000, staleWhileRevalidateMs: 60_000 };
    for (let round = 0; round < ROUNDS; round++) {
      const key = `refreshed ${round}`;
      let runs = 0;
      const work = (): string => `new ${++runs}`;
      await all[0]!.flights.run(key, () => 'old', { ...options, ttlMs: 1 });
      await new Promise((resolve) => setTimeout(resolve, 3));
      await Promise.all(
        all.map(async ({ flights }, index) => {
          await turns((round % 3) * index);
          await flights.run(key, work, options);
        }),
      );
      while ((await all[0]!.flights.run(key, work, options)) === 'old');
      for (const { flights } of all) expect(await flights.run(key, work, options)).toBe('new 1');
      expect(runs).toBe(1);
    }
  });

  it('give a result to whoever joins while it is published, and run once more for who came later', async () => {
    await using pilots = new Pilots({ redis: server.url });
    const [leader, ...others] = Array.from({ length: PROCESSES }, () => pilots.join());
    for (let round = 0; round < ROUNDS; round++) {
      const key = `joined ${round}`;
      const job = new Job<string>();
      let later = 0;
      const led = leader!.flights.run(key, job.work);
      await job.started;
      const joined = others.map(async ({ flights }, index) => {
        await turns((round % 5) * index);
        return flights.run(key, async () => `later ${++later}`);
      });
      await turns(round % 7);
      job.finish('first');
      expect(await led).toBe('first');
      const values = new Set(await Promise.all(joined));
      // Whoever came too late for the first result shares in the work of one of them, or does it after that one.
      for (const value of values) expect(value).toMatch(/^(first|later \d)$/);
      expect([...values].filter((value) => value !== 'first')).toHaveLength(later);
      expect(job.runs).toBe(1);
    }
  });

  it.each([
    ['result', async (name: string) => name],
    ['error', (name: string) => Promise.reject(new Error(name))],
  ])('give nobody the %s of a call that had ended before', async (kind, work) => {
    await using pilots = new Pilots({ redis: server.url });
    const [first, second] = [pilots.join(), pilots.join()];
    for (let round = 0; round < 5 * ROUNDS; round++) {
      const run = ({ flights }: Pilot, name: string): Promise<string> =>
        flights.run(`${kind} ${round}`, () => work(name)).catch((error: Error) => error.message);
      expect(await run(first, 'first')).toBe('first');
      expect(await run(second, 'second')).toBe('second');
    }
  });

  it.each([
    ['a process that has yet to connect', false],
    ['a process that has lost its connections', true],
  ])('give the result to %s, when it was called before the work was over', async (_, wasUp) => {
    await using pilots = new Pilots({ redis: server.url });
    await using proxy = await TcpProxy.start(server.port);
    const leader = pilots.join();
    for (const ttlMs of [0, 1]) {
      const key = `late ${ttlMs}`;
      const job = new Job<string>();
      const led = leader.flights.run(key, job.work, { ttlMs });
      await job.started;
      if (!wasUp) proxy.fault = { isHalfOpen: true };
      const late = pilots.join({ redis: proxy.url });
      if (wasUp) {
        await late.flights.run('warm', () => 'up');
        proxy.fault = { isHalfOpen: true };
        proxy.cut();
      }
      const called = late.flights.run(key, job.work, { ttlMs });
      await sleep(20);
      job.finish('first');
      expect(await led).toBe('first');
      proxy.heal();
      expect(await called).toBe('first');
      expect(job.runs).toBe(1);
      expect(await late.flights.run(key, () => 'later')).toBe('later');
    }
  });

  it('find the result whose message was lost with the connection that listens', async () => {
    await using pilots = new Pilots({ redis: server.url });
    const [leader, follower] = [pilots.join(), pilots.join()];
    for (let round = 0; round < 3; round++) {
      const key = `lost ${round}`;
      const job = new Job<string>();
      const led = leader.flights.run(key, job.work);
      await job.started;
      const followed = follower.flights.run(key, job.work);
      await untilFollowed(leader, key);
      await withRedis(server.port, (redis) => redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub'));
      job.finish('done');
      expect(await Promise.all([led, followed])).toEqual(['done', 'done']);
      expect(job.runs).toBe(1);
    }
  });
});
