import { describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster } from 'ioredis';
import {
  SemaphoreClosedError,
  SemaphoreService,
  SemaphoreStore,
  SingleFlightAbortedError,
  SingleFlightService,
  type StoreClient,
  type StoreSession,
  StoreUnavailableError,
} from 'nestjs-semaphore';
import { CommandWatch } from '../../support/command-watch.js';
import { TcpProxy } from '../../support/faults/tcp-proxy.js';
import { Job, Pilots, untilFollowed } from '../../support/flights.js';
import { pollUntil, withRedis } from '../../support/redis-admin.js';
import { startCluster } from '../../support/redis-cluster.js';
import { useRedis } from '../../support/redis-server.js';

const server = useRedis();

const FOLLOWERS = 5;

/** Renewals of the leader, and signs of life of the followers: how many there are is a question of time alone. */
const IN_TIME = /^[NP]/;

/** The codes of the operations of each call of ours. */
function opsOf(commands: { name: string; args: string[] }[]): string[] {
  return allOpsOf(commands).filter((ops) => !IN_TIME.test(ops));
}

function allOpsOf(commands: { name: string; args: string[] }[]): string[] {
  return commands
    .filter(({ name }) => name.startsWith('eval'))
    .map(({ args: [, keys = '0', ...rest] }) =>
      rest
        .slice(Number(keys) + 4)
        .map((arg) => arg.charAt(0))
        .join(''),
    );
}

describe('single flight in Redis', () => {
  it.each([
    ['', { ttlMs: 0 }, 100],
    [' whose result is kept', { ttlMs: 60_000 }, 100],
    [' of a large result', { ttlMs: 0 }, 2_000_000],
  ])(
    'costs a follower three commands at most%s, and local joiners none',
    async (_, options, size) => {
      await using pilots = new Pilots({ redis: server.url });
      const all = Array.from({ length: FOLLOWERS + 1 }, () => pilots.join());
      await Promise.all(all.map(({ flights }, i) => flights.run(`warm ${i}`, () => i)));
      const [leader, ...followers] = all;
      const job = new Job<string>();
      await using watch = await CommandWatch.start(server.port);

      const calls = [leader!.flights.run(pilots.key, job.work, options)];
      await job.started;
      const leading = await watch.take();
      expect(leading.length).toBeLessThanOrEqual(2);

      const joined = followers.flatMap(({ flights }) =>
        Array.from({ length: 20 }, () => flights.run(pilots.key, job.work, options)),
      );
      const untilWaiting = (count: number): Promise<void> =>
        withRedis(server.port, (redis) => {
          const queue = `${pilots.prefix}:{single-flight:${pilots.key}}:q`;
          return pollUntil(
            `${count} stand in the queue`,
            async () => (await redis.zcard(queue)) === count,
          );
        });
      await untilWaiting(FOLLOWERS);
      const joining = opsOf(await watch.takeAll());
      job.finish('x'.repeat(size));
      await Promise.all([...calls, ...joined]);
      // A follower has its result before it leaves the queue.
      await untilWaiting(0);
      await sleep(100);
      const told = await watch.takeAll();
      const landing = opsOf(told);
      // Who asks between the publication and its message is put back into the queue, and leaves it once more.
      const polls = allOpsOf(told).filter((ops) => ops.startsWith('P')).length;
      const { held, waiters } = await leader!.semaphores.inspect(`single-flight:${pilots.key}`);
      expect({ held, waiters }).toEqual({ held: 0, waiters: [] });
      const commands = [...joining, ...landing];
      expect(commands.filter((ops) => ops.includes('W'))).toHaveLength(1);
      const isFew = commands.length - 1 <= 3 * FOLLOWERS + polls;
      expect({ commands, isFew }).toEqual({ commands, isFew: true });
      expect(job.runs).toBe(1);

      const more = new Job<number>();
      const first = leader!.flights.run('local', more.work);
      await more.started;
      await watch.take();
      const locals = Array.from({ length: 100 }, () => leader!.flights.run('local', more.work));
      expect(await watch.take()).toEqual([]);
      more.finish(1);
      expect(new Set(await Promise.all([first, ...locals]))).toEqual(new Set([1]));
    },
  );

  it('costs one command when the result is stored', async () => {
    await using pilots = new Pilots({ redis: server.url });
    const { flights } = pilots.join();
    await flights.run(pilots.key, () => 1, { ttlMs: 60_000 });
    await using watch = await CommandWatch.start(server.port);
    await flights.run(pilots.key, () => 2, { ttlMs: 60_000 });
    expect(await watch.take()).toEqual(['evalsha']);
  });

  it('leaves no key behind that does not expire', async () => {
    await using pilots = new Pilots({ redis: server.url });
    const { flights } = pilots.join();
    await flights.run(pilots.key, () => 1, { ttlMs: 60_000 });
    await flights.run('not kept', () => 1);
    const job = new Job<number>();
    const led = flights.run('forgotten', job.work);
    await job.started;
    await flights.forget('forgotten');
    job.finish(1);
    await led;
    await withRedis(server.port, async (redis) => {
      const keys = await redis.keys(`${pilots.prefix}*`);
      expect(keys.length).toBeGreaterThan(0);
      for (const key of keys) expect(await redis.pttl(key)).not.toBe(-1);
    });
  });

  it('finds the result that was published while its connections were away', async () => {
    await using proxy = await TcpProxy.start(server.port);
    await using pilots = new Pilots({ redis: server.url });
    const [leader, follower] = [pilots.join(), pilots.join({ redis: proxy.url })];
    const job = new Job<string>();
    const led = leader.flights.run(pilots.key, job.work);
    await job.started;
    const followed = follower.flights.run(pilots.key, job.work);
    await untilFollowed(leader, pilots.key);
    proxy.fault = { isHalfOpen: true };
    job.finish('done');
    expect(await led).toBe('done');
    proxy.heal();
    proxy.cut();
    expect(await followed).toBe('done');
    expect(job.runs).toBe(1);
  });

  it('gives its own callers the result though the store does not answer any more', async () => {
    await using proxy = await TcpProxy.start(server.port);
    await using pilots = new Pilots({ redis: proxy.url });
    const { flights, semaphores } = pilots.join({ storeTimeoutMs: 2000 });
    const job = new Job<string>();
    const led = flights.run(pilots.key, job.work);
    await job.started;
    proxy.fault = { isHalfOpen: true };
    const storeGivenUp = semaphores.inspect('other').catch(() => 'given up');
    job.finish('done');
    expect(await Promise.race([led, storeGivenUp])).toBe('done');
    proxy.heal();
    proxy.cut();
  });

  it('goes on over broken connections', async () => {
    await using proxy = await TcpProxy.start(server.port);
    await using pilots = new Pilots({ redis: server.url });
    const observer = pilots.join();
    const [leader, follower] = [
      pilots.join({ redis: proxy.url }),
      pilots.join({ redis: proxy.url }),
    ];
    const job = new Job<string>();
    const led = leader.flights.run(pilots.key, job.work);
    await job.started;
    const followed = follower.flights.run(pilots.key, job.work);
    await untilFollowed(observer, pilots.key);
    proxy.cut();
    await untilFollowed(observer, pilots.key);
    job.finish('done');
    expect(await Promise.all([led, followed])).toEqual(['done', 'done']);
    expect(job.runs).toBe(1);
  });

  it('rejects when the store cannot be reached, or lets each process do the work', async () => {
    const port = 1;
    await using pilots = new Pilots({ redis: `redis://127.0.0.1:${port}` });
    const { flights } = pilots.join({ storeTimeoutMs: 200 });
    let runs = 0;
    const work = (): number => ++runs;
    await expect(flights.run(pilots.key, work)).rejects.toBeInstanceOf(StoreUnavailableError);
    const calls = [1, 2, 3].map(() => flights.run(pilots.key, work, { onStoreFailure: 'allow' }));
    expect(await Promise.all(calls)).toEqual([1, 1, 1]);
  });

  it('aborts work that is done without the store when nobody waits for it any more', async () => {
    await using pilots = new Pilots({ redis: 'redis://127.0.0.1:1' });
    const { flights } = pilots.join({ storeTimeoutMs: 200 });
    const job = new Job<string>();
    const [first, second] = [new AbortController(), new AbortController()];
    const calls = [first, second].map(({ signal }) =>
      flights.run(pilots.key, job.work, { onStoreFailure: 'allow', signal }),
    );
    const settled = Promise.allSettled(calls);
    await job.started;
    first.abort();
    expect(job.signals[0]?.aborted).toBe(false);
    second.abort();
    expect(job.signals[0]?.aborted).toBe(true);
    await settled;
    job.finish('too late');
  });

  it('asks once a second whether others wait, however many joined in vain', async () => {
    await using pilots = new Pilots({ redis: server.url });
    const [leader, follower] = [pilots.join(), pilots.join()];
    const job = new Job<string>();
    const joinInVain = async (): Promise<void> => {
      const leaving = new AbortController();
      const joined = leader.flights.run(pilots.key, job.work, { signal: leaving.signal });
      await job.started;
      leaving.abort();
      await expect(joined).rejects.toBeInstanceOf(SingleFlightAbortedError);
    };
    const first = joinInVain();
    const followed = follower.flights.run(pilots.key, job.work);
    await first;
    for (let i = 0; i < 30; i++) await joinInVain();
    await using watch = await CommandWatch.start(server.port);
    await sleep(1_100);
    const looks = opsOf(await watch.takeAll()).filter((ops) => ops.startsWith('S'));
    expect(looks.length).toBeLessThanOrEqual(2);
    job.finish('done');
    expect(await followed).toBe('done');
    expect(job.runs).toBe(1);
  });

  it('tells followers when their process shuts down, and lets work that is under way end', async () => {
    await using pilots = new Pilots({ redis: server.url });
    const [leader, follower] = [pilots.join(), pilots.join()];
    const job = new Job<string>();
    const led = leader.flights.run(pilots.key, job.work);
    await job.started;
    const followed = follower.flights.run(pilots.key, job.work);
    await untilFollowed(leader, pilots.key);
    const closing = expect(followed).rejects.toBeInstanceOf(SemaphoreClosedError);
    await follower.semaphores.close();
    await closing;
    await expect(follower.flights.run(pilots.key, job.work)).rejects.toBeInstanceOf(
      SemaphoreClosedError,
    );
    leader.semaphores.beginClose();
    job.finish('done');
    expect(await led).toBe('done');
  });

  it.each([0, 60_000])(
    'does no work when its process shuts down while it asks the store (ttlMs: %i)',
    async (ttlMs) => {
      await using pilots = new Pilots({ redis: server.url });
      const { flights, semaphores } = pilots.join();
      await flights.run('warm', () => 0);
      const job = new Job<string>();
      const options = { ttlMs, onStoreFailure: 'allow' } as const;
      const flown = flights.run(pilots.key, job.work, options);
      const refused = expect(flown).rejects.toMatchObject({ name: 'SemaphoreClosedError' });
      await semaphores.close();
      await refused;
      expect(job.signals).toEqual([]);
    },
  );

  it('does it on a Cluster', async () => {
    await using servers = await startCluster(3);
    const cluster = new Cluster([...servers.nodes]);
    try {
      await using pilots = new Pilots({ redis: cluster });
      const [a, b] = [pilots.join(), pilots.join()];
      const keys = Array.from({ length: 30 }, (_, i) => `cluster ${i}`);
      const jobs = keys.map(() => new Job<number>());
      const options = { ttlMs: 60_000 };
      const led = keys.map((key, i) => a.flights.run(key, jobs[i]!.work, options));
      await Promise.all(jobs.map((job) => job.started));
      const followed = keys.map((key, i) => b.flights.run(key, jobs[i]!.work, options));
      await Promise.all(keys.map((key) => untilFollowed(a, key)));
      jobs.forEach((job, i) => job.finish(i));
      const expected = keys.map((_, i) => i);
      expect(await Promise.all(led)).toEqual(expected);
      expect(await Promise.all(followed)).toEqual(expected);
      const again = keys.map((key, i) => b.flights.run(key, jobs[i]!.work, options));
      expect(await Promise.all(again)).toEqual(expected);
      await b.flights.forget(keys[0]!);
      expect(await b.flights.run(keys[0]!, () => 'new', options)).toBe('new');
      expect(jobs.map(({ runs }) => runs)).toEqual(keys.map(() => 1));
    } finally {
      cluster.disconnect();
    }
  });
});

describe('single flight with a store that cannot do it', () => {
  it('says so at the first call', async () => {
    class PlainStore extends SemaphoreStore {
      connect(_client: StoreClient): StoreSession {
        return { clientId: 'plain', close: () => Promise.resolve() } as unknown as StoreSession;
      }
    }
    const semaphores = new SemaphoreService({ store: new PlainStore(), log: 'none' });
    const flights = new SingleFlightService(semaphores);
    await expect(flights.run('key', () => 1)).rejects.toThrow('one that can do single flight');
    await semaphores.close();
  });
});
