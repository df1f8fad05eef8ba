import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from '@jest/globals';
import { describeSemaphoreStore } from 'nestjs-semaphore/testing';
import { RedisSemaphoreStore } from '../../lib/store/redis/redis.semaphore-store.js';
import { BUSY_SLACK_MS } from '../support/busy-machine.js';
import { useRedis } from '../support/redis-server.js';
import { uniquePrefix } from '../support/unique-prefix.js';

const server = useRedis();

describeSemaphoreStore(
  'RedisSemaphoreStore on one server',
  {
    createStore: () =>
      new RedisSemaphoreStore({ redis: server.url, keyPrefix: uniquePrefix('conformance') }),
    advance: (ms) => sleep(ms),
    slackMs: BUSY_SLACK_MS,
  },
  { describe, it },
);
