import { describe, expect, test } from '@jest/globals';
import type { Redis } from 'ioredis';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { SemaphoreService } from 'nestjs-semaphore';
import { COMMANDS, denials, rules } from '../support/faults/acl.js';
import { ALL_IS_WELL, Crew } from '../support/faults/crew.js';
import { asOfRedis6, TcpProxy } from '../support/faults/tcp-proxy.js';
import { pollUntil, withRedis } from '../support/redis-admin.js';
import { freePort } from '../support/redis-ports.js';
import { type RedisServer, startRedis } from '../support/redis-server.js';
import { nextEvent, queued, rejection, Semaphores } from '../support/semaphores.js';

const STORE_TIMEOUT_MS = 1500;
const REFUSALS = ['SEMAPHORE_STORE_UNAVAILABLE'];

function startCrew(redis: RedisServer): Promise<Crew> {
  return Crew.start({ service: { redis: redis.url, storeTimeoutMs: STORE_TIMEOUT_MS } });
}

/** How often the server has answered with an error. */
async function errors(port: number, name: string): Promise<number> {
  const info = await withRedis(port, (admin) => admin.info('errorstats'));
  return Number(new RegExp(`errorstat_${name}:count=(\\d+)`).exec(info)?.[1] ?? 0);
}

describe('Redis refuses', () => {
  test.each<
    [string, string, (admin: Redis) => Promise<unknown>, (admin: Redis) => Promise<unknown>]
  >([
    [
      'writes, because its memory is full',
      'OOM',
      (admin) => admin.config('SET', 'maxmemory', '1'),
      (admin) => admin.config('SET', 'maxmemory', '0'),
    ],
    [
      'writes, because it has become a replica',
      'READONLY',
      async (admin) => admin.replicaof('127.0.0.1', await freePort()),
      (admin) => admin.replicaof('NO', 'ONE'),
    ],
    [
      'writes, because its replicas are gone',
      'NOREPLICAS',
      (admin) => admin.config('SET', 'min-replicas-to-write', '1'),
      (admin) => admin.config('SET', 'min-replicas-to-write', '0'),
    ],
  ])('%s', async (_, error, begin, end) => {
    await using redis = await startRedis();
    await using crew = await startCrew(redis);
    await crew.contend({ options: { permits: 2, leaseMs: 1000 } });
    for (const pauseMs of [300, 3 * STORE_TIMEOUT_MS]) {
      await crew.progress();
      await withRedis(redis.port, begin);
      await pollUntil(
        `calls fail with ${error}`,
        async () => (await errors(redis.port, error)) > 0,
      );
      await delay(pauseMs);
      await withRedis(redis.port, end);
    }
    await crew.progress();
    const outcome = await crew.settle({ ports: [redis.port], refusals: REFUSALS });
    expect(outcome).toEqual(ALL_IS_WELL);
  });

  test('everything, while it loads its data', async () => {
    const args = ['--appendonly', 'yes', '--appendfsync', 'always'];
    await using redis = await startRedis({ args });
    await using crew = await startCrew(redis);
    await withRedis(redis.port, async (admin) => {
      const fill = admin.pipeline();
      for (let i = 0; i < 2000; i++) fill.set(`other-${i}`, 'x'.repeat(100), 'EX', 600);
      await fill.exec();
    });
    await crew.contend({ options: { permits: 2, leaseMs: 1000 } });
    await crew.progress();
    await redis.kill();
    const slowly = ['--key-load-delay', '1000', '--loading-process-events-interval-bytes', '1024'];
    await redis.restart([...args, ...slowly]);
    expect(redis.log).toMatch(/DB loaded from append only file: [1-9]/);
    await crew.progress();
    const outcome = await crew.settle({ ports: [redis.port], refusals: REFUSALS });
    expect(outcome).toEqual(ALL_IS_WELL);
  });
});

test.each([
  ['7 and newer', {}],
  ['6.2', { rewrite: asOfRedis6 }],
])(
  'a server that has become a replica is one outage, however often it is asked, as Redis %s says it',
  async (_, fault) => {
    await using redis = await startRedis();
    await using proxy = await TcpProxy.start(redis.port);
    proxy.fault = fault;
    await using semaphores = new Semaphores({ redis: proxy.url, storeTimeoutMs: 500 });
    const service = semaphores.open();
    const told: string[] = [];
    service.events.subscribe(({ type }) => {
      if (type.startsWith('store-')) told.push(type);
    });
    await service.acquire('key');
    await withRedis(redis.port, async (admin) => admin.replicaof('127.0.0.1', await freePort()));
    expect(await rejection(service.acquire('other'))).toMatchObject({
      code: 'SEMAPHORE_STORE_UNAVAILABLE',
      message: expect.stringContaining('READONLY'),
    });
    await pollUntil('it was asked again', async () => (await errors(redis.port, 'READONLY')) > 5);
    expect(told).toEqual(['store-down']);
    const isUp = nextEvent(service, 'store-up');
    await withRedis(redis.port, (admin) => admin.replicaof('NO', 'ONE'));
    await isUp;
    await service.acquire('other');
    expect(told).toEqual(['store-down', 'store-up']);
  },
);

test('who only waits finds out, too, that the server has become a replica', async () => {
  await using redis = await startRedis();
  await using semaphores = new Semaphores({ redis: redis.url, storeTimeoutMs: 400 });
  const held = await semaphores.open().acquire('key', { leaseMs: Infinity });
  const service = semaphores.open();
  const told: string[] = [];
  service.events.subscribe(({ type }) => told.push(type));
  const { outcome } = await queued(service, () =>
    service.acquire('key', { waitMs: Infinity, onStoreFailure: 'allow' }),
  );
  await withRedis(redis.port, async (admin) => admin.replicaof('127.0.0.1', await freePort()));
  await pollUntil('it was told', async () => told.includes('store-down'), 5000);
  expect(await outcome).toMatchObject({ degraded: true });
  await withRedis(redis.port, (admin) => admin.replicaof('NO', 'ONE'));
  await held.release();
});

test.each([0, 60])(
  'a server that may not write is told as such, and its connection is left alone, when answers take up to %i ms',
  async (delayMs) => {
    await using redis = await startRedis({ args: ['--min-replicas-to-write', '1'] });
    await using proxy = await TcpProxy.start(redis.port);
    await using semaphores = new Semaphores({ redis: proxy.url, storeTimeoutMs: 500 });
    const service = semaphores.open();
    await service.health();
    proxy.fault = { delayMs };
    const told: string[] = [];
    service.events.subscribe(({ type }) => told.push(type));
    expect(await rejection(service.acquire('key'))).toMatchObject({
      code: 'SEMAPHORE_STORE_UNAVAILABLE',
      message: expect.stringContaining('NOREPLICAS'),
    });
    expect(told).toEqual(['rejected']);
  },
);

test('a server that accepts connections and is not ready is no longer one that refuses them', async () => {
  const port = await freePort();
  const redis = `redis://127.0.0.1:${port}`;
  await using semaphores = new Semaphores({ redis, storeTimeoutMs: 300 });
  const service = semaphores.open();
  const reason = async (): Promise<string> => (await service.health(100)).error?.message ?? '';
  await pollUntil('it refuses', async () => (await reason()).includes('ECONNREFUSED'));
  const silent = createServer().listen(port, '127.0.0.1');
  await pollUntil('it is not ready', async () => (await reason()).includes('is not ready'));
  silent.close();
});

test("somebody's script that runs for too long is told as such, and is no outage", async () => {
  await using redis = await startRedis({ args: ['--lua-time-limit', '50'] });
  await using proxy = await TcpProxy.start(redis.port);
  await using semaphores = new Semaphores({ redis: proxy.url, storeTimeoutMs: 1000 });
  const service = semaphores.open();
  await service.health();
  const told: string[] = [];
  service.events.subscribe(({ type }) => told.push(type));
  await withRedis(redis.port, async (admin) => {
    await admin.ping();
    const killed = withRedis(redis.port, (other) => rejection(other.eval('while true do end', 0)));
    await pollUntil('it is busy', async () => /BUSY/.test(String(await rejection(admin.ping()))));
    let refusals = 0;
    const count = (reply: string): string => {
      refusals += reply.split('-BUSY ').length - 1;
      return reply;
    };
    proxy.fault = { rewrite: count };
    const errors = Promise.all([service.acquire('key'), service.inspect('key')].map(rejection));
    await pollUntil('both were refused', () => Promise.resolve(refusals >= 4));
    // Their next attempts are under way when their time is up.
    proxy.fault = { repliesAfter: errors };
    for (const error of await errors) expect(String(error)).toContain('BUSY');
    proxy.heal();
    await admin.script('KILL');
    await killed;
  });
  await (await service.acquire('key')).release();
  expect(told).toEqual(['rejected', 'acquired', 'released']);
});

test('a user with only the commands and the keys that README lists is enough, and needs them all', async () => {
  await using redis = await startRedis();
  const user = rules(COMMANDS, 'app', 'secret');
  await withRedis(redis.port, (admin) => admin.call('ACL', 'SETUSER', 'semaphores', ...user));
  const url = `redis://semaphores:secret@${redis.host}:${redis.port}`;
  await using crew = await Crew.start({ service: { redis: url, keyPrefix: 'app' } });

  await crew.contend({ options: { permits: 2, leaseMs: 1000, maxWaiting: 100 } });
  await crew.progress();
  await withRedis(redis.port, async (admin) => {
    await admin.script('FLUSH');
    await admin.call('CLIENT', 'KILL', 'TYPE', 'normal');
  });
  await crew.progress();
  await useEverything(url);
  // The subscriber is pinged every 5 s.
  await pollUntil(
    'all commands are used',
    async () => (await unused(redis, COMMANDS)).length === 0,
  );

  expect(await crew.settle({ ports: [redis.port] })).toEqual(ALL_IS_WELL);
  expect(await denials(redis.port)).toEqual([]);
});

async function useEverything(redis: string): Promise<void> {
  const options = { redis, keyPrefix: 'app', log: 'none' as const };
  const [one, other] = [new SemaphoreService(options), new SemaphoreService(options)];
  const heavy = { permits: 3, weight: 3 };
  const [first, second] = [
    await one.acquire('all', { permits: 3 }),
    await one.acquire('all', { permits: 3 }),
  ];
  const { outcome } = await queued(other, () => other.acquire('all', heavy));
  // Who comes with another limit may be one of those who wait.
  await rejection(one.acquire('all', { permits: 4, waitMs: 0 }));
  await first.renew(500);
  expect((await one.inspect('all')).waiters).toHaveLength(1);
  const used: string[] = [];
  for await (const key of one.list()) used.push(key);
  expect(used).toContain('all');
  await one.forceRelease('all', second.id);
  await first.release();
  await (await outcome).release();
  // More than the state's string takes, and somebody who waits in vain.
  const many = { permits: 60, leaseMs: Infinity };
  const crowd = await Promise.all(Array.from({ length: 60 }, () => one.acquire('crowd', many)));
  await rejection(other.acquire('crowd', { ...many, waitMs: 50 }));
  await Promise.all(crowd.map((permit) => permit.release()));
  const endless = await Promise.all(
    [one, other].map((service) => service.acquire('endless', { permits: 2, leaseMs: Infinity })),
  );
  await one.setPermits('endless', 5);
  await one.setPermits('endless', null);
  await Promise.all(endless.map((permit) => permit.release()));
  await Promise.all([one.close(), other.close()]);
}

async function unused(redis: RedisServer, commands: readonly string[]): Promise<string[]> {
  const info = await withRedis(redis.port, (admin) => admin.info('commandstats'));
  return commands.filter((name) => !info.includes(`cmdstat_${name}:`));
}

test('a channel that was forbidden for a while is heard without a new connection', async () => {
  await using redis = await startRedis();
  const user = (...rules: string[]): Promise<unknown> =>
    withRedis(redis.port, (admin) => admin.call('ACL', 'SETUSER', 'app', ...rules));
  await user('on', '>secret', '~*', '+@all', 'resetchannels');
  const url = `redis://app:secret@${redis.host}:${redis.port}`;
  const service = new SemaphoreService({ redis: url, log: 'none' });
  await (await service.acquire('key')).release();
  expect((await service.health()).isListening).toBe(false);
  await user('allchannels');
  await pollUntil('it listens', async () => (await service.health()).isListening === true);
  await service.close();
});

test('a database that is refused is waited for, and not replaced by the first one', async () => {
  await using redis = await startRedis();
  const user = (...rules: string[]): Promise<unknown> =>
    withRedis(redis.port, (admin) => admin.call('ACL', 'SETUSER', 'app', ...rules));
  const databases = async (): Promise<string[]> =>
    (await withRedis(redis.port, (admin) => admin.info('keyspace'))).match(/db\d+/g) ?? [];
  await user('on', '>secret', '~*', '&*', '+@all', '-select');
  const service = new SemaphoreService({
    redis: `redis://app:secret@${redis.host}:${redis.port}/2`,
    storeTimeoutMs: 500,
    log: 'none',
  });
  const isDown = nextEvent(service, 'store-down');
  expect(await rejection(service.acquire('key'))).toMatchObject({
    code: 'SEMAPHORE_STORE_UNAVAILABLE',
    message: expect.stringContaining("no permissions to run the 'select' command"),
  });
  expect((await isDown).error.message).toContain('NOPERM');
  expect((await service.health()).error?.message).toContain('NOPERM');
  expect(await databases()).toEqual([]);

  await user('+select');
  await pollUntil('it is up', async () => (await service.health()).error === undefined);
  await service.acquire('key');
  expect(await databases()).toEqual(['db2']);
  await withRedis(redis.port, (admin) => admin.call('CLIENT', 'KILL', 'USER', 'app'));
  await service.acquire('other');
  expect(await databases()).toEqual(['db2']);
  await service.close();

  const far = new SemaphoreService({
    redis: { host: redis.host, port: redis.port, db: 99 },
    storeTimeoutMs: 500,
    log: 'none',
  });
  expect(await rejection(far.acquire('key'))).toMatchObject({
    message: expect.stringContaining('DB index is out of range'),
  });
  await far.close();
});
