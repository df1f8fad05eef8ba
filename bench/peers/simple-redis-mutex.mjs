import { createClient } from 'redis';
import { lock } from 'simple-redis-mutex';

export const peers = {
  'simple-redis-mutex': {
    name: 'simple-redis-mutex',
    settings: 'defaults (timeout 30 s, pollingInterval 10 s)',
    backend: 'redis',
    open: (target) => open(target, {}),
  },
  'simple-redis-mutex-fast': {
    name: 'simple-redis-mutex, fast',
    settings: 'pollingInterval 5 ms, timeout 30 s',
    backend: 'redis',
    open: (target) => open(target, { pollingInterval: 5 }),
  },
};

async function open({ port, leaseMs }, settings) {
  const redis = createClient({ url: `redis://127.0.0.1:${port}` });
  await redis.connect();
  const options = { ...settings, ...(leaseMs && { timeout: leaseMs }) };
  return {
    locker(key) {
      let release;
      return {
        acquire: async () => {
          release = await lock(redis, key, options);
        },
        release: () => release(),
      };
    },
    close: () => redis.close(),
  };
}
