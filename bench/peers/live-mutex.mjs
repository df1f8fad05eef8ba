import lmx from 'live-mutex';

const defaults = { lockRequestTimeout: 60_000, unlockRequestTimeout: 60_000, ttl: 30_000 };

export const peers = {
  'live-mutex': {
    name: 'live-mutex',
    settings: 'own broker, lockRequestTimeout 60 s, ttl 30 s',
    backend: 'broker',
    open: (target) => open(target, {}),
  },
  'live-mutex-fast': {
    name: 'live-mutex, noDelay',
    settings: 'as live-mutex, and noDelay',
    backend: 'broker',
    open: (target) => open(target, { noDelay: true }),
  },
};

async function open({ port, leaseMs }, settings) {
  const options = { ...defaults, ...settings, ...(leaseMs && { ttl: leaseMs }) };
  const client = new lmx.Client({ host: '127.0.0.1', port, ...options });
  client.emitter.on('warning', () => {});
  await client.ensure();
  return {
    locker(key, { permits }) {
      const perCall = { max: permits };
      let id;
      return {
        acquire: async () => {
          ({ id } = await client.acquire(key, perCall));
        },
        release: () => client.release(key, { id }),
      };
    },
    close: () => client.close(),
  };
}
