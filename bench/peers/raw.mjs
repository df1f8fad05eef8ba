import { createHash, randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';

const LEASE_MS = 30_000;

const ACQUIRE =
  "if redis.call('set', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end return 0";
const RELEASE =
  "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0";
const PAIRS = `
for i = 1, #KEYS do redis.call('set', KEYS[i], ARGV[1], 'NX', 'PX', ARGV[2]) end
for i = 1, #KEYS do if redis.call('get', KEYS[i]) == ARGV[1] then redis.call('del', KEYS[i]) end end
return #KEYS`;

/** The least that a lock on Redis can be: no queue, no renewal. It is a limit, not a peer. */
export const peers = {
  'raw-set': raw('raw SET NX + EVALSHA', { bySet: true }),
  'raw-evalsha': raw('raw 2x EVALSHA', {}),
  'raw-set-auto': raw('raw SET NX + EVALSHA, autopipelined', { bySet: true, auto: true }),
  'raw-evalsha-auto': raw('raw 2x EVALSHA, autopipelined', { auto: true }),
  'raw-batch': raw('raw one EVALSHA with 64 pairs', { batches: true }),
};

function raw(name, { bySet = false, auto = false, batches = false }) {
  const settings = `ioredis, ${auto ? 'enableAutoPipelining' : 'defaults'}, ${LEASE_MS / 1000} s expiry`;
  return {
    name,
    settings,
    backend: 'redis',
    open: ({ port }) => open(port, { bySet, auto, batches }),
  };
}

async function open(port, { bySet, auto, batches }) {
  const redis = new Redis(port, '127.0.0.1', { enableAutoPipelining: auto });
  const load = async (script) => {
    await redis.script('LOAD', script);
    return createHash('sha1').update(script).digest('hex');
  };
  const [acquire, release, pairs] = await Promise.all([ACQUIRE, RELEASE, PAIRS].map(load));
  return {
    redis,
    locker(key) {
      let id;
      return {
        async acquire() {
          id = randomUUID();
          const reply = await (bySet
            ? redis.set(key, id, 'PX', LEASE_MS, 'NX')
            : redis.evalsha(acquire, 1, key, id, LEASE_MS));
          if (reply !== 'OK' && reply !== 1) throw new Error(`"${key}" is taken`);
        },
        release: () => redis.evalsha(release, 1, key, id),
      };
    },
    /** Acquires and releases many keys in one call. */
    pairs: batches
      ? (keys) => redis.evalsha(pairs, keys.length, ...keys, randomUUID(), LEASE_MS)
      : undefined,
    close: () => redis.disconnect(),
  };
}
