import { Redis } from 'ioredis';
import redlock from 'redlock';

const Redlock = redlock.default ?? redlock;
const LEASE_MS = 10_000;

export const peers = {
  redlock: {
    name: 'redlock',
    settings: 'defaults (10 retries, 200 ms +- 100 ms apart), 10 s',
    backend: 'redis',
    open: (target) => open(target, false, {}),
  },
  'redlock-patient': {
    name: 'redlock, retries without end',
    settings: 'retryCount -1, else defaults (200 ms +- 100 ms apart), 10 s',
    backend: 'redis',
    open: (target) => open(target, false, { retryCount: -1 }),
  },
  'redlock-fast': {
    name: 'redlock, fast',
    settings: 'retryCount -1, retryDelay 5 ms, retryJitter 5 ms, 10 s, enableAutoPipelining',
    backend: 'redis',
    open: (target) => open(target, true, { retryCount: -1, retryDelay: 5, retryJitter: 5 }),
  },
};

function open({ port, leaseMs = LEASE_MS }, auto, settings) {
  const redis = new Redis(port, '127.0.0.1', { enableAutoPipelining: auto });
  const locks = new Redlock([redis], settings);
  // It reports every refused attempt here, and an event without a listener would be thrown.
  locks.on('error', () => {});
  return {
    locker(key) {
      let lock;
      return {
        acquire: async () => {
          lock = await locks.acquire([key], leaseMs);
        },
        release: () => lock.release(),
      };
    },
    close: () => redis.disconnect(),
  };
}
