import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { Cluster } from 'ioredis';
import { describeSemaphoreStore } from 'nestjs-semaphore/testing';
import { RedisSemaphoreStore } from '../../lib/store/redis/redis.semaphore-store.js';
import { BUSY_SLACK_MS } from '../support/busy-machine.js';
import { type RedisCluster, startCluster } from '../support/redis-cluster.js';
import { uniquePrefix } from '../support/unique-prefix.js';

let servers: RedisCluster;
let cluster: Cluster;

beforeAll(async () => {
  servers = await startCluster(3);
  cluster = new Cluster([...servers.nodes]);
});

afterAll(async () => {
  cluster.disconnect();
  await servers.stop();
});

describeSemaphoreStore(
  'RedisSemaphoreStore on a cluster',
  {
    createStore: () =>
      new RedisSemaphoreStore({ redis: cluster, keyPrefix: uniquePrefix('conformance') }),
    advance: (ms) => sleep(ms),
    slackMs: BUSY_SLACK_MS,
  },
  { describe, it },
);
