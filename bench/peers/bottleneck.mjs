import Bottleneck from 'bottleneck';
import { Redis } from 'ioredis';

export const peers = {
  bottleneck: {
    name: 'bottleneck, clustered',
    settings: 'datastore ioredis, maxConcurrent = limit, else defaults',
    backend: 'redis',
    open: (target) => open(target, false),
  },
  'bottleneck-fast': {
    name: 'bottleneck, clustered, autopipelined',
    settings: 'as bottleneck, and enableAutoPipelining',
    backend: 'redis',
    open: (target) => open(target, true),
  },
};

function open({ port, leaseMs }, auto) {
  const client = new Redis(port, '127.0.0.1', { enableAutoPipelining: auto });
  const connection = new Bottleneck.IORedisConnection({ client });
  connection.on('error', () => {});
  const limiters = new Map();
  const job = leaseMs === undefined ? {} : { expiration: leaseMs };
  const limiterOf = (id, maxConcurrent) => {
    if (!limiters.has(id)) limiters.set(id, new Bottleneck({ id, maxConcurrent, connection }));
    return limiters.get(id);
  };
  return {
    locker(key, { permits }) {
      const limiter = limiterOf(key, permits);
      let leave;
      let done;
      return {
        // It runs jobs; here a job lasts from acquire to release.
        acquire: () =>
          new Promise((entered, failed) => {
            done = limiter.schedule(
              job,
              () =>
                new Promise((resolve) => {
                  leave = resolve;
                  entered();
                }),
            );
            done.catch(failed);
          }),
        release: () => {
          leave();
          return done;
        },
      };
    },
    close: () => connection.disconnect(false),
  };
}
