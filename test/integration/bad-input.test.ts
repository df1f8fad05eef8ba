import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Cluster, Redis } from 'ioredis';
import {
  type AcquireOptions,
  InvalidOptionsError,
  MemorySemaphoreStore,
  RedisSemaphoreStore,
  SemaphoreModule,
  type SemaphoreModuleOptions,
  SemaphoreService,
} from 'nestjs-semaphore';
import { RemoteSemaphoreStore } from 'nestjs-semaphore/client';
import { createSemaphoreServer } from 'nestjs-semaphore/server';
import { type RedisCluster, startCluster } from '../support/redis-cluster.js';
import { withRedis } from '../support/redis-admin.js';
import { type RedisServer, startRedis } from '../support/redis-server.js';
import { nextEvent, rejection, Semaphores, thrown } from '../support/semaphores.js';

let server: RedisServer;
let semaphores: Semaphores;
let service: SemaphoreService;

beforeAll(async () => {
  server = await startRedis();
  semaphores = new Semaphores({ redis: server.url });
  service = semaphores.open();
  // Connected from here on: what follows must not even reach Redis.
  await service.inspect('nothing');
});
afterAll(async () => {
  await semaphores[Symbol.asyncDispose]();
  await server.stop();
});

/** It says which option, which value, and what would be right. */
function expectToBeClear(error: unknown, option: string, value: unknown): void {
  expect(error).toBeInstanceOf(InvalidOptionsError);
  const { message, rule, code } = error as InvalidOptionsError;
  expect(error).toMatchObject({ option, value });
  expect(code).toBe('SEMAPHORE_INVALID_OPTIONS');
  expect(message).toContain(`\`${option}\``);
  expect(message).toContain(rule);
  expect(message).toContain(typeof value === 'string' ? value.slice(0, 40) : String(value));
}

const badCalls: [what: string, option: string, value: unknown, options?: object][] = [
  ['no permits', 'permits', 0],
  ['negative permits', 'permits', -1],
  ['half a permit', 'permits', 1.5],
  ['permits that are not a number', 'permits', Number.NaN],
  ['permits without an end', 'permits', Infinity],
  ['permits as text', 'permits', '3'],
  ['permits that are null', 'permits', null],
  ['a weight of nothing', 'weight', 0],
  ['a weight above permits', 'weight', 4, { permits: 3 }],
  ['a weight above the default permits', 'weight', 2],
  ['a negative wait', 'waitMs', -1],
  ['a wait that is not a number', 'waitMs', Number.NaN],
  ['a wait as text', 'waitMs', '100'],
  ['a negative queue bound', 'maxWaiting', -1],
  ['a broken queue bound', 'maxWaiting', 0.5],
  ['a broken priority', 'priority', 0.5],
  ['no lease', 'leaseMs', 0],
  ['a negative lease', 'leaseMs', -5],
  ['a hold time that is not a number', 'maxHoldMs', Number.NaN],
  ['a negative time to stay taken', 'holdAtLeastMs', -1],
  ['renew as text', 'renew', 'yes'],
  ['reentrant as a number', 'reentrant', 1],
  ['an unknown way to fail', 'onStoreFailure', 'ignore'],
  ['a label that is not text', 'label', 7],
  ['a label that is too long', 'label', 'x'.repeat(257)],
  ['a signal of the wrong kind', 'signal', 'stop'],
  ['an option that does not exist', 'timeout', 5],
  ['an option that objects inherit', 'constructor', 5],
];

describe.each(badCalls)('%s', (_, option, value, others = {}) => {
  test('is refused, and nothing is acquired', async () => {
    const options = { ...others, [option]: value } as AcquireOptions;
    const attempts = [
      service.acquire('bad', options),
      service.tryAcquire('bad', options),
      service.withPermit('bad', () => expect(true).toBe(false), options),
      service.acquire(['bad', 'worse'], options),
    ];
    for (const attempt of attempts) expectToBeClear(await rejection(attempt), option, value);
    expect(await keys()).toEqual([]);
  });
});

test.each([
  ['empty', ''],
  ['of 513 bytes', 'k'.repeat(513)],
  ['of 513 bytes in fewer characters', `${'ü'.repeat(256)}k`],
  ['with half a surrogate pair', 'k\ud800'],
  ['a number', 7],
  ['undefined', undefined],
  ['null', null],
  ['an object', {}],
])('a key that is %s is refused by every call', async (_, key) => {
  const bad = key as string;
  const attempts = [
    service.acquire(bad),
    service.acquire(['good', bad]),
    service.tryAcquire(bad),
    service.withPermit(bad, () => undefined),
    service.inspect(bad),
    service.setPermits(bad, 1),
    service.forceRelease(bad, 'id'),
  ];
  for (const attempt of attempts) {
    const error = await rejection(attempt);
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error).toMatchObject({
      option: 'key',
      value: key,
      rule: expect.stringContaining('512'),
    });
  }
  expect(await keys()).toEqual([]);
});

test('an empty list of keys is refused', async () => {
  expect(await rejection(service.acquire([]))).toMatchObject({ option: 'key' });
});

test.each([0, 1.5, Number.NaN, Infinity, -1, '3'])('setPermits(%p) is refused', async (permits) => {
  const error = await rejection(service.setPermits('bad', permits as number));
  expectToBeClear(error, 'permits', permits);
  expect(await keys()).toEqual([]);
});

test('a bad lease for a renewal is refused, and the permit stays', async () => {
  const permit = await service.acquire('good');
  expectToBeClear(await rejection(permit.renew(-1)), 'leaseMs', -1);
  expect(permit.isHeld).toBe(true);
  expect(await permit.release()).toBe('released');
});

test.each<[string, string, unknown]>([
  ['a URL of another kind', 'redis', 'http://localhost'],
  ['a URL that is none', 'redis', 'localhost:6379'],
  ['a URL without a host', 'redis', 'redis://'],
  ['Redis as a number', 'redis', 6379],
  ['an empty prefix', 'keyPrefix', ''],
  ['a prefix with braces', 'keyPrefix', 'app{1}'],
  ['a store that is none', 'store', {}],
  ['no time limit', 'storeTimeoutMs', 0],
  ['half a replica', 'minReplicas', 0.5],
  ['no time for replicas', 'replicaTimeoutMs', -1],
  ['an unknown log level', 'log', 'verbose'],
])('%s is refused when the service is made', (_, option, value) => {
  const options = { [option]: value } as SemaphoreModuleOptions;
  expectToBeClear(
    thrown(() => new SemaphoreService(options)),
    option,
    value,
  );
});

test('an unknown module option is refused, and not shown: it may be a password', () => {
  const options = { prefix: 'app' } as SemaphoreModuleOptions;
  expectToBeClear(
    thrown(() => new SemaphoreService(options)),
    'prefix',
    '***',
  );
});

test.each<[string, unknown]>([
  ['isGlobal', 'x'],
  ['isGlobal', 0],
])('%s: %p is refused by the module', (option, value) => {
  const options = { [option]: value, useFactory: () => ({}) };
  for (const take of [SemaphoreModule.forRoot, SemaphoreModule.forRootAsync]) {
    const error = thrown(() => take.call(SemaphoreModule, options as object));
    expectToBeClear(error, option, value);
    expect((error as Error).message).toMatch(/^SemaphoreModule\.forRoot(Async)?: /);
  }
});

test.each([
  ['a string', 'redis://localhost'],
  ['null', null],
])('%s instead of the options is refused by the module', (_, options) => {
  const error = thrown(() => SemaphoreModule.forRoot(options as never));
  expectToBeClear(error, 'options', options);
});

test.each<[string, unknown]>([
  ['clok', 1],
  ['clock', {}],
  ['clock', null],
  ['clock', { now: () => 0 }],
])('%s: %p is refused by the store in memory', (option, value) => {
  const options = { [option]: value };
  expectToBeClear(
    thrown(() => new MemorySemaphoreStore(options as object)),
    option,
    value,
  );
});

test.each([
  ['options', undefined, undefined],
  ['options', 'http://localhost', 'http://localhost'],
  ['semaphores', undefined, {}],
])('a lock server without %s is refused: %p', (option, value, options) => {
  const error = thrown(() => createSemaphoreServer(options as never));
  expectToBeClear(error, option, value);
});

test.each<[string, unknown]>([
  ['basePath', '/locks'],
  ['basePath', null],
  ['isBaseShared', 1],
  ['path', '/locks'],
])('%s: %p is refused by a lock server', (option, value) => {
  const parts = { semaphores: service, [option]: value };
  expectToBeClear(
    thrown(() => createSemaphoreServer(parts)),
    option,
    value,
  );
});

test.each([
  ['RemoteSemaphoreStore', 'url', 'http://me:S3CRET@host', RemoteSemaphoreStore],
  ['RedisSemaphoreStore', 'redis', 'redis://me:S3CRET@host', RedisSemaphoreStore],
])('%s says that `%s` belongs into its options', (_, option, url, Store) => {
  for (const options of [url, undefined, null, [url]]) {
    const { message } = thrown(() => new Store(options as never)) as Error;
    expect(message).toMatch(`Expected \`options\` to be an object with \`${option}\`, got `);
    expect(message).not.toContain('S3CRET');
  }
});

test('API keys that are the same are named by their places', () => {
  const [one, other] = ['0123456789abcdef', 'fedcba9876543210'];
  const apiKeys = [one, other, { key: one, role: 'use' as const }];
  const error = thrown(() => createSemaphoreServer({ semaphores: service, apiKeys }));
  expectToBeClear(error, 'apiKeys[2]', '***');
  expect((error as Error).message).toContain('another key than apiKeys[0]');
  expect((error as Error).message).not.toContain(one);
});

test('bad defaults are refused when the service is made', () => {
  const options = { defaults: { permits: 0 } };
  expectToBeClear(
    thrown(() => new SemaphoreService(options)),
    'permits',
    0,
  );
});

test('a redis and a store exclude each other', () => {
  const options = { redis: server.url, store: new MemorySemaphoreStore() };
  const error = thrown(() => new SemaphoreService(options));
  expect(error).toBeInstanceOf(InvalidOptionsError);
  expect((error as Error).message).toMatch(/redis.*store|store.*redis/s);
});

const oddKeys = [
  ' ',
  'two words',
  ' at both ends ',
  `'single' "double" \`back\``,
  '{braces}',
  '}',
  '}{',
  '{}',
  'a}b{c',
  'line\nbreak\r\n',
  'tab\tnul\0',
  '🔒🧵 ümläut',
  '100 %',
  '%7B%25',
  '*?[a]',
  'a:b:q',
  '\\',
  '__proto__',
  'k'.repeat(512),
];

/** What every key must be able to do. */
async function expectToWork(one: SemaphoreService, other: SemaphoreService, key: string) {
  const permit = await one.acquire(key, { label: 'a label, {with} "signs"\n and 🧵' });
  expect(permit.key).toBe(key);
  expect(await other.tryAcquire(key)).toBeNull();
  const waiting = nextEvent(other, 'waiting');
  const next = other.acquire(key, { label: 'next' });
  expect((await waiting).key).toBe(key);
  const snapshot = await one.inspect(key);
  expect(snapshot).toMatchObject({
    key,
    held: 1,
    holders: [{ id: permit.id, label: 'a label, {with} "signs"\n and 🧵' }],
    waiters: [{ label: 'next' }],
  });
  expect(await permit.release()).toBe('released');
  const second = await next;
  expect(second.fencingToken).toBeGreaterThan(permit.fencingToken);
  expect(await one.forceRelease(key, second.id)).toBe(true);
}

describe('Odd keys', () => {
  test.each(oddKeys)(
    '%j is acquired, waited for, shown, handed on and released by force',
    async (key) => {
      await expectToWork(service, semaphores.open(), key);
    },
  );

  test('are listed as they are, and do not mix', async () => {
    const permit = await service.acquire(oddKeys);
    expect(permit.keys).toEqual(oddKeys);
    const listed = [];
    for await (const key of service.list()) listed.push(key);
    expect(listed.toSorted()).toEqual(oddKeys.toSorted());
    await permit.release();
  });
});

describe('On a Cluster of three masters', () => {
  let cluster: RedisCluster;
  let client: Cluster;

  beforeAll(async () => {
    cluster = await startCluster();
    client = new Cluster([...cluster.nodes]);
  }, 120_000);
  afterAll(async () => {
    client.disconnect();
    await cluster.stop();
  });

  test.each(oddKeys)(
    '%j is acquired, waited for, shown, handed on and released by force',
    async (key) => {
      await using clustered = new Semaphores({ redis: client });
      await expectToWork(clustered.open(), clustered.open(), key);
    },
  );

  test('keys of several slots are acquired together, or none of them', async () => {
    await using clustered = new Semaphores({ redis: client });
    const [one, other] = [clustered.open(), clustered.open()];
    const permit = await one.acquire(oddKeys);
    expect(permit.fencingTokens.size).toBe(oddKeys.length);
    const nodes = await Promise.all(
      cluster.masters.map(({ port }) => withRedis(port, (redis) => redis.dbsize())),
    );
    expect(Math.min(...nodes)).toBeGreaterThan(0);
    expect(await other.tryAcquire(['free', ...oddKeys])).toBeNull();
    const listed = [];
    for await (const key of other.list()) listed.push(key);
    expect(listed.toSorted()).toEqual(oddKeys.toSorted());
    const next = other.acquire(oddKeys.toReversed());
    expect(await permit.release()).toBe('released');
    expect(await (await next).release()).toBe('released');
  });
});

function keys(): Promise<string[]> {
  return withRedis(server.port, (redis: Redis) => redis.keys(`${semaphores.prefix}*`));
}
