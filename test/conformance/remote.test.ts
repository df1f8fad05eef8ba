import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { RemoteSemaphoreStore } from 'nestjs-semaphore/client';
import { describeSemaphoreStore } from 'nestjs-semaphore/testing';
import { MemorySemaphoreStore } from '../../lib/store/memory/memory.semaphore-store.js';
import { RedisSemaphoreStore } from '../../lib/store/redis/redis.semaphore-store.js';
import { BUSY_SLACK_MS } from '../support/busy-machine.js';
import { useRedis } from '../support/redis-server.js';
import { StoreServer } from '../support/store-server.js';
import { uniquePrefix } from '../support/unique-prefix.js';

const redis = useRedis();

describe('RemoteSemaphoreStore', () => {
  let onRedis: StoreServer;
  let onMemory: StoreServer;

  beforeAll(async () => {
    onRedis = await StoreServer.start(
      new RedisSemaphoreStore({ redis: redis.url, keyPrefix: uniquePrefix('conformance') }),
    );
    onMemory = await StoreServer.start(new MemorySemaphoreStore());
  });

  afterAll(async () => {
    await Promise.all([onRedis[Symbol.asyncDispose](), onMemory[Symbol.asyncDispose]()]);
  });

  const cases = [{ where: 'a server on Redis', url: () => onRedis.url }];
  // It takes as long again, in real time.
  if (process.env['SEMAPHORE_LONG'] === '1') {
    cases.push({ where: 'a server on memory', url: () => onMemory.url });
  }

  for (const { where, url } of cases) {
    describeSemaphoreStore(
      `over HTTP, ${where}`,
      {
        createStore: () => new RemoteSemaphoreStore({ url: url() }),
        advance: (ms) => sleep(ms),
        slackMs: BUSY_SLACK_MS,
      },
      { describe, it },
    );
  }
});
