import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { Cluster } from 'ioredis';
import { RemoteSemaphoreStore } from 'nestjs-semaphore/client';
import { describeSingleFlightStore, VirtualClock } from 'nestjs-semaphore/testing';
import { MemorySemaphoreStore } from '../../lib/store/memory/memory.semaphore-store.js';
import { RedisSemaphoreStore } from '../../lib/store/redis/redis.semaphore-store.js';
import { type RedisCluster, startCluster } from '../support/redis-cluster.js';
import { type RedisServer, startRedis } from '../support/redis-server.js';
import { StoreServer } from '../support/store-server.js';
import { uniquePrefix } from '../support/unique-prefix.js';

let server: RedisServer;
let lockServer: StoreServer;
let servers: RedisCluster;
let cluster: Cluster;

beforeAll(async () => {
  [server, servers] = await Promise.all([startRedis(), startCluster(3)]);
  cluster = new Cluster([...servers.nodes]);
  lockServer = await StoreServer.start(
    new RedisSemaphoreStore({ redis: server.url, keyPrefix: uniquePrefix('conformance') }),
  );
});

afterAll(async () => {
  cluster.disconnect();
  await lockServer[Symbol.asyncDispose]();
  await Promise.all([server.stop(), servers.stop()]);
});

const clock = new VirtualClock();

describeSingleFlightStore(
  'MemorySemaphoreStore on a virtual clock',
  {
    createStore: () => new MemorySemaphoreStore({ clock }),
    advance: (ms) => clock.advance(ms),
    slackMs: 0,
  },
  { describe, it },
);

describeSingleFlightStore(
  'RedisSemaphoreStore',
  {
    createStore: () =>
      new RedisSemaphoreStore({ redis: server.url, keyPrefix: uniquePrefix('conformance') }),
    advance: (ms) => sleep(ms),
  },
  { describe, it },
);

describeSingleFlightStore(
  'RedisSemaphoreStore on a cluster',
  {
    createStore: () =>
      new RedisSemaphoreStore({ redis: cluster, keyPrefix: uniquePrefix('conformance') }),
    advance: (ms) => sleep(ms),
  },
  { describe, it },
);

describeSingleFlightStore(
  'RemoteSemaphoreStore, a server on Redis',
  {
    createStore: () => new RemoteSemaphoreStore({ url: lockServer.url }),
    advance: (ms) => sleep(ms),
  },
  { describe, it },
);
