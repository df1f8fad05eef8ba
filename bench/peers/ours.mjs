import { Cluster } from 'ioredis';
import { SemaphoreService } from 'nestjs-semaphore';

const defaults = { waitMs: 60_000 };
const settings = 'defaults, waitMs 60 s';

export const peers = {
  ours: {
    name: 'nestjs-semaphore',
    settings,
    backend: 'redis',
    open: (target) => client({ redis: redisAt(target), ...withLease(target) }),
  },
  'ours-local-passes': {
    name: 'nestjs-semaphore localPasses',
    settings: `${settings}, localPasses 64`,
    backend: 'redis',
    open: (target) => client({ redis: redisAt(target), ...withLease(target, { localPasses: 64 }) }),
  },
  'ours-memory': {
    name: 'nestjs-semaphore memory',
    settings,
    backend: 'none',
    open: (target) => client(withLease(target)),
  },
};

export function withLease({ leaseMs = 30_000 }, more) {
  return { defaults: { ...defaults, leaseMs, ...more } };
}

export function redisAt({ port, ports }) {
  if (ports === undefined) return `redis://127.0.0.1:${port}`;
  return new Cluster(
    ports.map((node) => ({ host: '127.0.0.1', port: node })),
    { lazyConnect: true },
  );
}

async function client(options) {
  const service = new SemaphoreService(options);
  await service.inspect('connected');
  return lockersOf(service, () => service.close());
}

export function lockersOf(service, close) {
  return {
    locker(key, { permits }) {
      const perCall = { permits };
      let permit;
      return {
        acquire: async () => {
          permit = await service.acquire(key, perCall);
        },
        release: () => permit.release(),
      };
    },
    close,
  };
}
