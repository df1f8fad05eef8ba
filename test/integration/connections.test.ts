import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { inspect, promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Cluster, Redis } from 'ioredis';
import { Cluster as Cluster5, Redis as Redis5 } from 'ioredis5';
import {
  type SemaphoreModuleOptions,
  SemaphoreService,
  StoreUnavailableError,
} from 'nestjs-semaphore';
import { pollUntil, withRedis } from '../support/redis-admin.js';
import { type RedisCluster, startCluster } from '../support/redis-cluster.js';
import { startSentinel } from '../support/redis-sentinel.js';
import { startRedis, useRedis } from '../support/redis-server.js';
import { nextEvent, rejection, Semaphores } from '../support/semaphores.js';
import { uniquePrefix } from '../support/unique-prefix.js';

const EXIT_WORKER = fileURLToPath(new URL('../support/workers/exit-worker.mjs', import.meta.url));

const server = useRedis();

async function connections(redis: Redis = server.admin): Promise<number> {
  return String(await redis.client('LIST'))
    .trim()
    .split('\n').length;
}

/** Acquires here and waits there, so that commands and messages both have to work. */
async function expectHandOff(options: SemaphoreModuleOptions): Promise<void> {
  await using semaphores = new Semaphores(options);
  const [one, other] = [semaphores.open(), semaphores.open()];
  const permit = await one.acquire('connected');
  expect(await other.tryAcquire('connected')).toBeNull();
  const next = other.acquire('connected');
  await pollUntil(
    'the other one waits',
    async () => (await one.inspect('connected')).waiters.length === 1,
  );
  expect(await permit.release()).toBe('released');
  expect((await next).fencingToken).toBeGreaterThan(permit.fencingToken);
  await (await next).release();
}

test('names the key that an unreachable Redis could not serve', async () => {
  await using semaphores = new Semaphores({ redis: 'redis://127.0.0.1:1', storeTimeoutMs: 200 });
  const service = semaphores.open();
  const failed = { code: 'SEMAPHORE_STORE_UNAVAILABLE', key: 'far:{away}%' };
  await expect(service.acquire(failed.key)).rejects.toMatchObject(failed);
  await expect(service.setPermits(failed.key, 3)).rejects.toMatchObject(failed);
  await expect(service.inspect(failed.key)).rejects.toMatchObject(failed);
  const unnamed = { name: 'StoreUnavailableError', constructor: StoreUnavailableError };
  await expect(service.list().next()).rejects.toMatchObject(unnamed);
});

describe('Connects', () => {
  test('to a URL', () => expectHandOff({ redis: server.url }));

  test('with options', () => expectHandOff({ redis: { host: server.host, port: server.port } }));

  test('with options that say how often to retry, which stay ours', () =>
    expectHandOff({ redis: { port: server.port, lazyConnect: true, enableOfflineQueue: false } }));

  test.each([
    ['ioredis 6', () => new Redis(server.port)],
    ['ioredis 5', () => new Redis5(server.port)],
  ])('like an instance of %s', async (_, create) => {
    const redis = create();
    try {
      await expectHandOff({ redis });
      expect(await redis.ping()).toBe('PONG');
    } finally {
      redis.disconnect();
    }
  });

  test('like an instance that is not connected itself', async () => {
    const redis = new Redis(server.port, { lazyConnect: true });
    await expectHandOff({ redis });
    expect(redis.status).toBe('wait');
  });

  test('to the database of a URL and of an instance', async () => {
    const inDatabase = new Redis(server.port, { db: 5 });
    try {
      await using byUrl = new Semaphores({ redis: `${server.url}/5` });
      const permit = await byUrl.open().acquire('db');
      expect(await inDatabase.keys(`${byUrl.prefix}*`)).not.toEqual([]);
      expect(await server.admin.keys(`${byUrl.prefix}*`)).toEqual([]);
      await using likeInstance = new Semaphores({ redis: inDatabase, keyPrefix: byUrl.prefix });
      expect(await likeInstance.open().tryAcquire('db')).toBeNull();
      await permit.release();
    } finally {
      inDatabase.disconnect();
    }
  });

  test("under an instance's own key prefix, and so with options", async () => {
    const redis = new Redis(server.port, { keyPrefix: 'shop:' });
    try {
      await using likeInstance = new Semaphores({ redis });
      await using likeOptions = new Semaphores({
        redis: { port: server.port, keyPrefix: 'shop:' },
        keyPrefix: likeInstance.prefix,
      });
      const service = likeInstance.open();
      const permit = await service.acquire('prefixed');
      const keys = await server.admin.keys(`*${likeInstance.prefix}*`);
      expect(keys.length).toBeGreaterThan(0);
      expect(keys.every((key) => key.startsWith(`shop:${likeInstance.prefix}`))).toBe(true);
      expect(await likeOptions.open().tryAcquire('prefixed')).toBeNull();
      expect((await service.list().next()).value).toBe('prefixed');
      await permit.release();
    } finally {
      redis.disconnect();
    }
  });

  test.each<[string, (options: { port: number; password: string }) => object]>([
    ['options', (options) => options],
    ['a client of ioredis 5', (options) => new Redis5({ ...options, lazyConnect: true })],
    [
      'a Cluster',
      ({ port, password }) =>
        new Cluster([port], { lazyConnect: true, redisOptions: { password } }),
    ],
  ])(
    'with a wrong password: what is told of it says so, and does not show it: %s',
    async (_, redisOf) => {
      const args = ['--requirepass', 'secret', '--cluster-enabled', 'yes'];
      await using guarded = await startRedis({ args });
      const password = 'of-yesterday-0123456789';
      const redis = redisOf({ port: guarded.port, password });
      const service = new SemaphoreService({ redis, storeTimeoutMs: 300, log: 'none' });
      const { error: reason } = await nextEvent(service, 'store-down');
      const errors = [
        reason,
        await rejection(service.acquire('k')),
        await rejection(service.inspect('k')),
        await rejection(service.list().next()),
        (await service.health(200)).error,
      ];
      for (const error of errors) {
        expect(error).toMatchObject({ message: expect.stringContaining('WRONGPASS') });
        expect(inspect(error, { depth: 9 })).not.toContain(password);
      }
      await service.close();
    },
  );

  test('with a password, and as a user who may use nothing but its keys', async () => {
    await using guarded = await startRedis({ args: ['--requirepass', 'secret'] });
    await expectHandOff({ redis: `redis://:secret@${guarded.host}:${guarded.port}` });
    await expectHandOff({ redis: { port: guarded.port, password: 'secret' } });
    const keyPrefix = uniquePrefix();
    const boss = new Redis(guarded.port, { password: 'secret' });
    try {
      const rules = ['on', '>word', `~${keyPrefix}:*`, `&${keyPrefix}:*`, '+@all', '-@admin'];
      await boss.call('ACL', 'SETUSER', 'app', ...rules);
      const redis = { port: guarded.port, username: 'app', password: 'word' };
      await expectHandOff({ redis, keyPrefix });
    } finally {
      boss.disconnect();
    }
  });

  test('to the master that Sentinels name', async () => {
    await using set = await startSentinel();
    const sentinels = [...set.sentinels];
    await expectHandOff({ redis: { sentinels, name: set.name } });
    const redis = new Redis({ sentinels, name: set.name });
    try {
      await expectHandOff({ redis });
    } finally {
      redis.disconnect();
    }
  }, 120_000);

  test('to a Cluster, and closes only what it opened', async () => {
    await using cluster = await startCluster();
    const redis = new Cluster([...cluster.nodes]);
    const open = (): Promise<number[]> =>
      Promise.all(cluster.masters.map(({ port }) => withRedis(port, connections)));
    try {
      await redis.ping();
      await expectHandOff({ redis });
      expect(await redis.set('mine', 'yes')).toBe('OK');
      const before = await open();
      await expectHandOff({ redis });
      await pollUntil('the connections are gone', async () =>
        (await open()).every((count, i) => count <= (before[i] as number)),
      );
    } finally {
      redis.disconnect();
    }
  }, 120_000);
});

describe('Connects as the user of a Cluster', () => {
  let cluster: RedisCluster;

  beforeAll(async () => {
    cluster = await startCluster();
    for (const { port } of cluster.masters) {
      await withRedis(port, async (boss) => {
        await boss.call('ACL', 'SETUSER', 'app', 'on', '>word', '~*', '&*', '+@all');
        await boss.call('ACL', 'SETUSER', 'default', '-eval', '-evalsha');
      });
    }
  });
  afterAll(() => cluster.stop());

  test.each([
    ['ioredis 6', Cluster],
    ['ioredis 5', Cluster5],
  ])('of %s', async (_, Nodes) => {
    const redisOptions = { username: 'app', password: 'word' };
    await expectHandOff({
      redis: new Nodes([...cluster.nodes], { lazyConnect: true, redisOptions }),
    });
  });
});

describe('close()', () => {
  test.each(['URL', 'instance'])('ends the connections that were opened for a %s', async (how) => {
    const redis = new Redis(server.port);
    try {
      await redis.ping();
      const before = await connections();
      await using semaphores = new Semaphores({ redis: how === 'URL' ? server.url : redis });
      const service = semaphores.open();
      const permit = await service.acquire('closed');
      expect(await connections()).toBeGreaterThan(before);
      await permit.release();
      await service.close();
      await pollUntil('the connections are gone', async () => (await connections()) === before);
      expect(redis.status).toBe('ready');
      expect(await redis.ping()).toBe('PONG');
    } finally {
      redis.disconnect();
    }
  });

  test('leaves no listeners on the instance', async () => {
    const redis = new Redis(server.port);
    try {
      const before = redis.eventNames().map((name) => [name, redis.listenerCount(name)]);
      await expectHandOff({ redis });
      expect(redis.eventNames().map((name) => [name, redis.listenerCount(name)])).toEqual(before);
    } finally {
      redis.disconnect();
    }
  });

  test('lets the process end, also with a holder and a waiter', async () => {
    const args = [EXIT_WORKER, server.url, uniquePrefix()];
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 10_000 });
    expect(stdout).toContain('SemaphoreClosedError');
  });
});
