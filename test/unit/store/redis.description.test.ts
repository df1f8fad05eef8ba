import { expect, test } from '@jest/globals';
import { Cluster, Redis } from 'ioredis';
import type { RedisConnection } from '../../../lib/semaphore.options.js';
import { describeRedis } from '../../../lib/store/redis/redis.description.js';

test.each<[string, RedisConnection]>([
  ['Redis 127.0.0.1:1/2', 'redis://me:secret@127.0.0.1:1/2'],
  ['Redis there:1/3', 'redis://there:1?db=3'],
  ['Redis there:1/4', { host: 'there', port: 1, db: 4 }],
  ['Redis localhost:6379', 'redis://:secret@localhost'],
  ['Redis [::1]:6379', 'rediss://[::1]'],
  ['Redis localhost:6379/2', 'redis:///2'],
  ['Redis localhost:6379', {}],
  ['Redis there:7000', { host: 'there', port: 7000, password: 'secret' }],
  ['Redis /run/redis.sock', { path: '/run/redis.sock', username: 'me' }],
  ['Redis main (Sentinel)', { sentinels: [{ host: 'one', port: 1 }], name: 'main' }],
  ['Redis there:1', new Redis('redis://:secret@there:1', { lazyConnect: true })],
  ['Redis Cluster', new Cluster([{ host: 'one', port: 1 }], { lazyConnect: true })],
])('is named without secrets: %s', (name, redis) => {
  expect(describeRedis(redis)).toBe(name);
});
