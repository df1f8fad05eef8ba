import { Redlock } from '@redis-kit/lock';
import { createClient } from 'redis';

const LEASE_MS = 10_000;

/** The core of @nestjs-redis/lock, whose module only provides it to Nest. */
export const peers = {
  'redis-kit': {
    name: '@redis-kit/lock',
    settings: 'defaults (3 attempts, 200 ms +- 100 ms apart), 10 s',
    backend: 'redis',
    open: (target) => open(target, {}),
  },
  'redis-kit-fast': {
    name: '@redis-kit/lock, fast',
    settings: 'maxRetryAttempts 1,000,000, retryDelayMs 5, retryJitterMs 5, 10 s',
    backend: 'redis',
    open: (target) =>
      open(target, { maxRetryAttempts: 1_000_000, retryDelayMs: 5, retryJitterMs: 5 }),
  },
};

async function open({ port, leaseMs = LEASE_MS }, settings) {
  const redis = createClient({ url: `redis://127.0.0.1:${port}` });
  await redis.connect();
  const locks = new Redlock([redis], settings);
  return {
    locker(key) {
      let lock;
      return {
        acquire: async () => {
          lock = await locks.acquire(key, leaseMs);
          if (lock === null) throw new Error(`"${key}" is taken`);
        },
        release: () => lock.release(),
      };
    },
    close: () => redis.close(),
  };
}
