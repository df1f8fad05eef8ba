import { Redis } from 'ioredis';
import { Mutex, Semaphore } from 'redis-semaphore';

const usual = { acquireTimeout: 60_000 };
const fast = { ...usual, retryInterval: 1 };

const defaults = 'defaults (lockTimeout 10 s, retryInterval 10 ms), acquireTimeout 60 s';
const aggressive = 'retryInterval 1 ms, acquireTimeout 60 s, enableAutoPipelining';

export const peers = {
  'redis-semaphore-mutex': {
    name: 'redis-semaphore Mutex',
    settings: defaults,
    backend: 'redis',
    open: (target) => open(target, false, (redis, key, o) => new Mutex(redis, key, o)),
  },
  'redis-semaphore-mutex-fast': {
    name: 'redis-semaphore Mutex, fast',
    settings: aggressive,
    backend: 'redis',
    open: (target) => open(target, true, (redis, key, o) => new Mutex(redis, key, o)),
  },
  'redis-semaphore': {
    name: 'redis-semaphore Semaphore',
    settings: defaults,
    backend: 'redis',
    open: (target) => open(target, false, semaphore),
  },
  'redis-semaphore-fast': {
    name: 'redis-semaphore Semaphore, fast',
    settings: aggressive,
    backend: 'redis',
    open: (target) => open(target, true, semaphore),
  },
};

function semaphore(redis, key, options, permits) {
  return new Semaphore(redis, key, permits, options);
}

function open({ port, leaseMs }, isFast, create) {
  const redis = new Redis(port, '127.0.0.1', { enableAutoPipelining: isFast });
  const options = { ...(isFast ? fast : usual), ...(leaseMs && { lockTimeout: leaseMs }) };
  return {
    locker(key, { permits }) {
      const lock = create(redis, key, options, permits);
      return { acquire: () => lock.acquire(), release: () => lock.release() };
    },
    close: () => redis.disconnect(),
  };
}
