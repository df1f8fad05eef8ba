import type { RedisOptions } from 'ioredis';
import { InvalidOptionsError } from '../../semaphore.errors.js';
import type { RedisConnection } from '../../semaphore.options.js';

/** What the store uses of an ioredis `Redis` or `Cluster`, of any copy of ioredis 5 or 6. */
export interface Connection {
  readonly status: string;
  readonly options: { keyPrefix?: string; db?: number };
  readonly isCluster?: boolean;
  on(event: string, listener: (...args: never[]) => void): unknown;
  once(event: string, listener: (...args: never[]) => void): unknown;
  evalsha(sha: string, keys: number, ...args: (string | number)[]): Promise<unknown>;
  eval(script: string, keys: number, ...args: (string | number)[]): Promise<unknown>;
  script(command: 'LOAD', script: string): Promise<unknown>;
  client(command: 'INFO' | 'KILL', ...args: string[]): Promise<unknown>;
  del(key: string): Promise<unknown>;
  scan(cursor: string, ...args: (string | number)[]): Promise<[string, string[]]>;
  wait(replicas: number, timeoutMs: number): Promise<number>;
  subscribe(channel: string): Promise<unknown>;
  ping(): Promise<unknown>;
  select(db: number): Promise<unknown>;
  disconnect(reconnect?: boolean): void;
}

/** What it uses of a `Cluster` besides. */
export interface ClusterConnection extends Connection {
  readonly slots: (string[] | undefined)[];
  /** Not a part of what ioredis promises. */
  readonly subscriber?: { getInstance?(): Connection | null };
  refreshSlotsCache(): void;
  nodes(role: 'all' | 'master'): ClusterNode[];
}

type ClusterNode = Connection & { options: { host?: string; port?: number } };

/** As `slots` have it. */
export function nodeName({ options: { host, port } }: ClusterNode): string {
  return `${host}:${port}`;
}

interface Duplicable {
  readonly isCluster?: boolean;
  readonly options: Record<string, unknown>;
  duplicate(...args: unknown[]): Connection;
}

/** Opens connections of our own to one Redis, however the user described it. */
export interface Connector {
  /** What the user's own options put in front of every key. */
  readonly keyPrefix: string;
  readonly isCluster: boolean;
  open(): Promise<Connection>;
}

const RECONNECT_AT_MOST_MS = 500;
const SENTINEL_WITHIN_MS = 1000;

/** Imported once, and not by who gives an instance: Jest refuses an import between two tests, as in `beforeEach`. */
let ioredis: Promise<Pick<typeof import('ioredis'), 'Redis'>> | undefined;

/**
 * A call that cannot be sent fails at once and a call without an answer is never sent again behind our back: the store
 * does both itself, within its time limit.
 */
function ourSettings(redis: RedisConnection, timeoutMs: number): Record<string, unknown> {
  const retryStrategy = (attempt: number): number => Math.min(attempt * 25, RECONNECT_AT_MOST_MS);
  return {
    lazyConnect: false,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    maxRetriesPerRequest: 0,
    retryStrategy,
    // Whoever gives up here has no connection ever after.
    sentinelRetryStrategy: retryStrategy,
    sentinelCommandTimeout: sentinelTimeout(redis, timeoutMs),
    reconnectOnError: null,
    connectTimeout: Math.max(250, Math.min(timeoutMs, 10_000)),
    // A connection that does not answer is not worth a polite goodbye.
    disconnectTimeout: 100,
    commandTimeout: undefined,
    enableAutoPipelining: false,
    stringNumbers: false,
    keyPrefix: '',
    readOnly: false,
  };
}

/** A sentinel that does not answer must leave time for the next one. A limit that the user has set, and that does, stays. */
function sentinelTimeout(redis: RedisConnection, timeoutMs: number): number {
  const options = isInstance(redis) ? redis.options : redis;
  const own = (options as RedisOptions).sentinelCommandTimeout;
  if (own !== undefined && own > 0 && own < timeoutMs) return own;
  return Math.max(250, Math.min(timeoutMs / 4, SENTINEL_WITHIN_MS));
}

function loadIoredis(): Promise<Pick<typeof import('ioredis'), 'Redis'>> {
  // Before 5.2.5 it has no name.
  return (ioredis ??= import('ioredis').then(({ Redis, default: unnamed }) => ({
    Redis: Redis ?? unnamed,
  })));
}

/**
 * Whoever gives an instance has ioredis; everybody else needs it at the first call. Any other failure to load it is told then.
 * @throws {InvalidOptionsError} it is not installed
 */
export async function requireIoredis(redis: RedisConnection): Promise<void> {
  if (isInstance(redis)) return;
  try {
    await loadIoredis();
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (code !== 'ERR_MODULE_NOT_FOUND' && code !== 'MODULE_NOT_FOUND') return;
    const rule = 'used with the package ioredis, which is not installed: run `npm install ioredis`';
    throw new InvalidOptionsError('redis', redis, rule);
  }
}

export function createConnector(redis: RedisConnection, timeoutMs: number): Connector {
  const settings = ourSettings(redis, timeoutMs);
  if (isInstance(redis)) {
    const { keyPrefix, redisOptions } = redis.options as {
      keyPrefix?: string;
      redisOptions?: { keyPrefix?: string };
    };
    const isCluster = redis.isCluster === true;
    return {
      isCluster,
      keyPrefix: keyPrefix ?? redisOptions?.keyPrefix ?? '',
      open: () =>
        Promise.resolve(
          isCluster
            ? redis.duplicate([], clusterSettings(settings, redisOptions))
            : redis.duplicate({ ...settings }),
        ),
    };
  }
  return {
    isCluster: false,
    keyPrefix: typeof redis === 'string' ? '' : ((redis as { keyPrefix?: string }).keyPrefix ?? ''),
    async open() {
      await requireIoredis(redis);
      const { Redis } = await loadIoredis();
      const connection =
        typeof redis === 'string'
          ? new Redis(redis, settings)
          : new Redis({ ...(redis as RedisOptions), ...settings });
      return connection as unknown as Connection;
    },
  };
}

function clusterSettings(
  settings: Record<string, unknown>,
  redisOptions: object | undefined,
): Record<string, unknown> {
  return {
    lazyConnect: false,
    enableOfflineQueue: false,
    enableAutoPipelining: false,
    keyPrefix: '',
    scaleReads: 'master',
    clusterRetryStrategy: settings['retryStrategy'],
    redisOptions: {
      // Of ioredis 5, `duplicate` does not keep them, with their password and TLS.
      ...redisOptions,
      ...settings,
      // These belong to the Cluster object: its nodes queue while they connect, and it reconnects them.
      lazyConnect: undefined,
      enableOfflineQueue: undefined,
      retryStrategy: undefined,
    },
  };
}

/** By shape, not by class: the application may have another copy of ioredis than we would load. */
function isInstance(redis: RedisConnection): redis is Duplicable & object {
  return typeof redis === 'object' && 'duplicate' in redis && typeof redis.duplicate === 'function';
}
