import { describe, expect, test } from '@jest/globals';
import { InvalidOptionsError } from '../../lib/semaphore.errors.js';
import { resolveModuleOptions } from '../../lib/resolve-module-options.js';
import { isKey, resolveOptions, validateOptions } from '../../lib/resolve-options.js';
import { resolveRedisOptions } from '../../lib/store/redis/redis.options.js';
import { RedisSemaphoreStore } from '../../lib/store/redis/redis.semaphore-store.js';

function errorOf(task: () => unknown): InvalidOptionsError {
  try {
    task();
  } catch (error) {
    if (error instanceof InvalidOptionsError) return error;
  }
  throw new Error('Expected an InvalidOptionsError');
}

describe('options', () => {
  test('of later levels win, undefined says nothing, and no level is changed', () => {
    const levels = [{ permits: 3, waitMs: 5 }, { permits: undefined, waitMs: 0 }, { label: 'x' }];
    const before = structuredClone(levels);
    expect(resolveOptions(...levels)).toMatchObject({ permits: 3, waitMs: 0, label: 'x' });
    expect(levels).toEqual(before);
  });

  test('of a single call are refused where they would be for all', () => {
    const { signal } = new AbortController();
    expect(errorOf(() => validateOptions({ signal } as object)).option).toBe('signal');
    expect(errorOf(() => resolveModuleOptions({ defaults: { signal } as object })).option).toBe(
      'signal',
    );
    expect(resolveOptions({ signal }).signal).toBe(signal);
  });

  test.each([
    ['leaseMS', 'leaseMs'],
    ['lease', 'leaseMs'],
    ['wait', 'waitMs'],
    ['permit', 'permits'],
    ['priorty', 'priority'],
    ['Renews', 'renew'],
    ['reen', 'reentrant'],
  ])('that do not exist remind of one that was meant: %s', (given, meant) => {
    const { message } = errorOf(() => resolveOptions({ [given]: 1 } as object));
    expect(message).toContain(`there is no such option. Did you mean \`${meant}\`? There are `);
  });

  test.each(['ttl', 'k', 'timeout', ''])('that do not exist remind of none: %j', (given) => {
    const { message } = errorOf(() => resolveOptions({ [given]: 1 } as object));
    expect(message).toContain('there is no such option. There are permits, ');
  });

  test.each([
    [{ priority: -100_000 }, { priority: -100_001 }],
    [{ priority: 100_000 }, { priority: 100_001 }],
    [{ label: 'x'.repeat(256) }, { label: 'x'.repeat(257) }],
    [{ waitMs: 0 }, { waitMs: -1 }],
    [{ waitMs: 5 }, { waitMs: '5' as never }],
    [{ leaseMs: 1e12 }, { leaseMs: 1e12 + 1 }],
    [{ localPasses: 999 }, { localPasses: 1000 }],
    [
      { permits: 3, weight: 3 },
      { permits: 3, weight: 4 },
    ],
  ])('go as far as %j, and not to %j', (last, beyond) => {
    expect(resolveOptions(last)).toMatchObject(last);
    expect(errorOf(() => resolveOptions(beyond)).option).toBe(Object.keys(beyond).at(-1));
  });

  test('come with keys of 512 bytes at most', () => {
    expect([isKey('é'.repeat(256)), isKey(`${'é'.repeat(256)}x`)]).toEqual([true, false]);
  });

  test('may not be a property that every object has', () => {
    expect(errorOf(() => resolveOptions({ constructor: 1 } as object)).option).toBe('constructor');
  });
});

describe('redis', () => {
  test.each([
    'redis://localhost:notaport',
    'http://localhost',
    'localhost:6379',
    '',
    { url: 'redis://other' },
    ['redis://localhost'],
    5,
  ])('refuses %j', (redis) => {
    const error = errorOf(() => resolveModuleOptions({ redis: redis as object }));
    expect(error.option).toBe('redis');
  });

  test.each([
    ['redis.port', { port: NaN }, 'a whole number from 0 to 65535, got `NaN`'],
    ['redis.port', { port: 'abc' }, 'a whole number from 0 to 65535, got "abc"'],
    ['redis.port', { port: '' }, 'a whole number from 0 to 65535, got ""'],
    ['redis.db', { db: 1.5 }, 'a whole number >= 0, got `1.5`'],
  ])('names %s of the options %j that it refuses', (option, redis, rule) => {
    const module = errorOf(() => resolveModuleOptions({ redis }));
    expect(module.message).toBe(errorOf(() => resolveRedisOptions({ redis })).message);
    expect(module.message).toContain(`Expected \`${option}\` to be ${rule}`);
  });

  test.each([
    'redis://localhost',
    'rediss://user:secret@localhost:6380/2',
    { host: 'localhost', port: 6379 },
    { port: '6379', db: null },
    { path: '/run/redis.sock' },
  ])('takes %j', (redis) => {
    expect(resolveModuleOptions({ redis }).redis).toBe(redis);
  });

  test('shows no password of a URL that it refuses', () => {
    const error = errorOf(() => resolveModuleOptions({ redis: 'https://user:S3CRET@host/' }));
    expect(`${error.message} ${String(error.value)}`).not.toContain('S3CRET');
    expect(error.message).toContain('//***@host');
  });
});

describe('the Redis store', () => {
  test('refuses options that it does not have', () => {
    const options = { redis: 'redis://localhost', log: 'none' };
    const error = errorOf(() => new RedisSemaphoreStore(options));
    expect(error.option).toBe('log');
    expect(error.message).toContain(
      'There are redis, keyPrefix, storeTimeoutMs, minReplicas, replicaTimeoutMs',
    );
  });

  test('has the rules and the defaults of the module', () => {
    const { keyPrefix, storeTimeoutMs, minReplicas, replicaTimeoutMs } = resolveModuleOptions();
    const defaults = { keyPrefix, storeTimeoutMs, minReplicas, replicaTimeoutMs };
    const redis = 'redis://localhost';
    expect(resolveRedisOptions({ redis })).toEqual({ redis, ...defaults });
    const options = { redis, keyPrefix: '{' };
    expect(errorOf(() => resolveRedisOptions(options))).toEqual(
      errorOf(() => resolveModuleOptions(options)),
    );
  });
});
