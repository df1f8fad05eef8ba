import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Cluster, Redis } from 'ioredis';
import { type SemaphoreModuleOptions, SemaphoreService } from 'nestjs-semaphore';
import { setTimeout as delay } from 'node:timers/promises';
import { TcpProxy } from '../support/faults/tcp-proxy.js';
import { type RedisCluster, startCluster } from '../support/redis-cluster.js';
import { pollUntil, withRedis } from '../support/redis-admin.js';
import { freePort } from '../support/redis-ports.js';
import { type RedisServer, startRedis } from '../support/redis-server.js';
import { aborted, nextEvent } from '../support/semaphores.js';

const KEY = 'key';

interface Address {
  host: string;
  port: number;
}

function open(
  redis: SemaphoreModuleOptions['redis'],
  options: SemaphoreModuleOptions = {},
): SemaphoreService {
  return new SemaphoreService({ redis, log: 'none', ...options });
}

async function endsInTime(closing: Promise<void>): Promise<boolean> {
  return Promise.race([closing.then(() => true), delay(5000, false, { ref: false })]);
}

describe('Cluster', () => {
  const keys = Array.from({ length: 30 }, (_, i) => `key-${i}`);
  let cluster: RedisCluster;
  let proxies: TcpProxy[];
  let service: SemaphoreService;

  beforeAll(async () => {
    cluster = await startCluster();
    proxies = await Promise.all(cluster.nodes.map(({ port }) => TcpProxy.start(port)));
    const between = proxies.map(({ port }) => ({ host: '127.0.0.1', port }));
    const natMap = Object.fromEntries(
      cluster.nodes.map(({ host, port }, i) => [`${host}:${port}`, between[i] as Address]),
    );
    service = open(new Cluster(between, { lazyConnect: true, natMap }), { storeTimeoutMs: 500 });
    // The first calls of a new Cluster may take longer than that on a busy machine.
    await pollUntil('the cluster is there', () => useAll().then(() => true));
  });
  afterAll(async () => {
    await service.close();
    for (const proxy of proxies) await proxy[Symbol.asyncDispose]();
    await cluster.stop();
  });

  const use = (key: string): Promise<unknown> =>
    service.acquire(key).then((permit) => permit.release());
  const useAll = async (): Promise<unknown> => new Set(await Promise.all(keys.map(use)));

  test.each([1, 3])(
    'connections to %i of 3 nodes that die without a word are replaced',
    async (count) => {
      expect(await useAll()).toEqual(new Set(['released']));
      for (const proxy of proxies.slice(0, count)) proxy.silence();
      const outcomes = await Promise.allSettled(keys.map(use));
      const failed = outcomes.filter(({ status }) => status === 'rejected').length;
      expect(failed).toBeGreaterThan(0);
      expect(failed === keys.length).toBe(count === 3);
      await pollUntil('every key can be used again', () => useAll().then(() => true));
    },
  );

  test.each([
    [
      'ends',
      async (): Promise<void> => {
        const kill = (port: number): Promise<unknown> =>
          withRedis(port, (admin) => admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub'));
        await Promise.all(cluster.nodes.map(({ port }) => kill(port)));
      },
    ],
    [
      'dies without a word',
      async (): Promise<void> => {
        await pollUntil('it listens', async () => (await service.health()).isListening);
        const counts = proxies.map((proxy) => proxy.silenceListeners());
        expect(Math.max(...counts)).toBeGreaterThan(0);
        await Promise.resolve();
      },
    ],
  ])(
    'a connection that listens %s: what was taken by force meanwhile is noticed',
    async (_, end) => {
      const other = open(new Cluster([...cluster.nodes], { lazyConnect: true }));
      // Renewed after 200 s only.
      const permit = await service.acquire(KEY, { leaseMs: 600_000 });
      const lost = aborted(permit.signal);
      await other.inspect(KEY);
      await end();
      expect(await other.forceRelease(KEY, permit.id)).toBe(true);
      expect(await lost).toMatchObject({ name: 'PermitLostError' });
      await other.close();
    },
  );

  test('close() ends while it is away', async () => {
    const down = nextEvent(service, 'store-down');
    await Promise.all(cluster.masters.map((master) => master.kill()));
    await down;
    expect(await endsInTime(service.close())).toBe(true);
  });
});

describe('close() ends for a Cluster', () => {
  test.each([0, 300])('that has never been there, after %i ms', async (ms) => {
    const nodes = [{ host: '127.0.0.1', port: await freePort() }];
    const service = open(new Cluster(nodes, { lazyConnect: true }));
    await delay(ms);
    expect(await endsInTime(service.close())).toBe(true);
  });

  test('whose name is still being looked up', async () => {
    const dnsLookup = (): void => undefined;
    const service = open(new Cluster([{ host: 'nowhere' }], { lazyConnect: true, dnsLookup }));
    await delay(50);
    expect(await endsInTime(service.close())).toBe(true);
  });
});

describe('Sentinel', () => {
  const name = 'main';

  function startOne(master: RedisServer, port?: number): Promise<RedisServer> {
    const sentinel = `sentinel monitor ${name} ${master.host} ${master.port} 1\n`;
    return startRedis({ sentinel, ...(port === undefined ? {} : { port }) });
  }

  test('the first call passes over a sentinel that accepts connections and says nothing', async () => {
    await using master = await startRedis();
    await using frozen = await startOne(master);
    await using healthy = await startOne(master);
    frozen.pause();
    const sentinels = [frozen, healthy].map(({ host, port }) => ({ host, port }));
    const service = open({ sentinels, name });
    expect(await (await service.acquire(KEY)).release()).toBe('released');
    expect(await endsInTime(service.close())).toBe(true);
  });

  test('close() ends while the only sentinel says nothing', async () => {
    await using master = await startRedis();
    await using frozen = await startOne(master);
    frozen.pause();
    const { host, port } = frozen;
    const service = open({ sentinels: [{ host, port }], name });
    await delay(100);
    expect(await endsInTime(service.close())).toBe(true);
  });

  test('connections come back after an outage of all, whatever the retry strategies of an instance say', async () => {
    await using master = await startRedis();
    await using sentinel = await startOne(master);
    const { host, port } = sentinel;
    const never = (): null => null;
    const redis = new Redis({
      sentinels: [{ host, port }],
      name,
      lazyConnect: true,
      retryStrategy: never,
      sentinelRetryStrategy: never,
    });
    const service = open(redis);
    await (await service.acquire(KEY)).release();
    const down = nextEvent(service, 'store-down');
    await Promise.all([sentinel.kill(), master.kill()]);
    await down;
    await delay(300);
    const up = nextEvent(service, 'store-up');
    await master.restart();
    await using again = await startOne(master, port);
    expect(again.isRunning).toBe(true);
    await up;
    expect(await (await service.acquire(KEY)).release()).toBe('released');
    await service.close();
  });
});
