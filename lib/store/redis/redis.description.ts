import type { RedisConnection } from '../../semaphore.options.js';

interface Described {
  host?: string | undefined;
  port?: number | string;
  db?: number | string;
  path?: string;
  name?: string;
  sentinels?: unknown;
}

/** Where Redis is, for a log line: never with a user or a password. */
export function describeRedis(redis: RedisConnection): string {
  if (typeof redis === 'string') {
    const { hostname, port, pathname, searchParams } = new URL(redis);
    const db = Number(pathname.slice(1) || searchParams.get('db'));
    return at({ host: hostname || undefined, port, db });
  }
  if ('isCluster' in redis && redis.isCluster === true) return 'Redis Cluster';
  return at('duplicate' in redis && 'options' in redis ? (redis.options as Described) : redis);
}

function at({ host, port, path, name, sentinels, db }: Described): string {
  if (sentinels !== undefined && sentinels !== null) return `Redis ${name ?? ''} (Sentinel)`;
  if (path !== undefined && path !== null) return `Redis ${path}`;
  return `Redis ${host ?? 'localhost'}:${port || 6379}${Number(db ?? 0) === 0 ? '' : `/${db}`}`;
}
