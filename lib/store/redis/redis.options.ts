import {
  duration,
  isObject,
  mergeSecretly,
  requireObject,
  type Rule,
  wholeNumber,
} from '../../option-rules.js';
import { InvalidOptionsError } from '../../semaphore.errors.js';
import type { RedisConnection } from '../../semaphore.options.js';

/** Options of `new RedisSemaphoreStore()`. */
export interface RedisSemaphoreStoreOptions {
  /** A URL, ioredis options, or an ioredis `Redis` or `Cluster`, whose settings are used for connections of our own. */
  redis: RedisConnection;
  /** What every key and channel begins with. At most 128 characters, no braces. @default 'semaphore' */
  keyPrefix?: string | undefined;
  /** How long one call may take, in milliseconds, at least 1. @default 5000 */
  storeTimeoutMs?: number | undefined;
  /** How many replicas must have confirmed a grant, from 0 to 100. 0 does not wait. @default 0 */
  minReplicas?: number | undefined;
  /** How long to wait for them, in milliseconds, at least 1, and at most a third of `storeTimeoutMs`. @default 1000 */
  replicaTimeoutMs?: number | undefined;
}

/** What sessions need of them. */
export type RedisSessionOptions = Required<Omit<RedisSemaphoreStoreOptions, 'redis'>>;

export const REDIS_DEFAULTS: RedisSessionOptions = Object.freeze({
  keyPrefix: 'semaphore',
  storeTimeoutMs: 5000,
  minReplicas: 0,
  replicaTimeoutMs: 1000,
});

const PORT = wholeNumber(0, 65_535);
const DATABASE = wholeNumber(0, Number.MAX_SAFE_INTEGER);

export const REDIS_RULES: Record<keyof RedisSemaphoreStoreOptions, Rule> = {
  redis: {
    text: 'a Redis URL such as redis://localhost:6379 (or rediss://; after the host at most the number of a database), ioredis options (`host`, `port`, …; no `url`), or an ioredis instance, no client of another package; a SemaphoreStore is given as `store`',
    holds: isRedisConnection,
  },
  keyPrefix: {
    text: 'a non-empty string of at most 128 characters without braces',
    holds: (value) => typeof value === 'string' && /^[^{}]{1,128}$/su.test(value),
  },
  storeTimeoutMs: duration(1),
  minReplicas: wholeNumber(0, 100),
  replicaTimeoutMs: duration(1),
};

/** @throws {InvalidOptionsError} */
export function resolveRedisOptions(
  options: RedisSemaphoreStoreOptions,
): Required<RedisSemaphoreStoreOptions> {
  requireObject(options, 'an object with `redis`');
  if (options.redis === undefined) throw new InvalidOptionsError('redis', undefined, 'given');
  checkNumbers(options.redis);
  return mergeSecretly({ ...REDIS_DEFAULTS, redis: options.redis }, REDIS_RULES, options);
}

/** For ioredis a port or a database that is no number is one left out. @throws {InvalidOptionsError} */
export function checkNumbers(redis: unknown): void {
  if (!isObject(redis)) return;
  for (const [name, rule] of Object.entries({ port: PORT, db: DATABASE })) {
    const value: unknown = (redis as Record<string, unknown>)[name];
    if (!isNumber(rule, value)) throw new InvalidOptionsError(`redis.${name}`, value, rule.text);
  }
}

/** What ioredis would take without a word, and connect to its default instead. */
function isRedisConnection(value: unknown): boolean {
  if (typeof value === 'string') return isRedisUrl(value);
  if (!isObject(value) || Array.isArray(value) || 'url' in value) return false;
  if (isStore(value)) return false;
  return !isClient(value) || ('status' in value && typeof value.status === 'string');
}

function isRedisUrl(text: string): boolean {
  if (!/^rediss?:\/\/./.test(text) || !URL.canParse(text)) return false;
  const { pathname, searchParams } = new URL(text);
  return /^\/?\d*$/.test(pathname) && isNumber(DATABASE, searchParams.get('db'));
}

/** Left out, a number, or the text of one. */
function isNumber(rule: Rule, value: unknown): boolean {
  if (value === undefined || value === null) return true;
  return rule.holds(typeof value === 'string' && value !== '' ? Number(value) : value);
}

/** A client of Redis has a `connect` too. */
export function isStore(value: object): boolean {
  return 'connect' in value && typeof value.connect === 'function' && !isClient(value);
}

/** Of ioredis, which tells its `status`, or of another package. */
function isClient(value: object): boolean {
  return 'duplicate' in value && typeof value.duplicate === 'function';
}
