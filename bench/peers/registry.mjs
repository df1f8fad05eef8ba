/**
 * @typedef {object} Locker one caller's way into one key; not shared between callers
 * @property {() => Promise<unknown>} acquire
 * @property {() => Promise<unknown>} release
 *
 * @typedef {object} Client
 * @property {(key: string, options: { permits: number }) => Locker} locker
 * @property {() => unknown} close
 *
 * @typedef {object} Peer
 * @property {string} name as shown in tables
 * @property {string} settings what was set, in words
 * @property {'redis' | 'broker' | 'none'} backend what has to be started for it
 * @property {(target: { port?: number, ports?: number[], leaseMs?: number, index?: number }) => Client | Promise<Client>} open
 *   `index` counts the processes of one contender
 */

/** Which file has which contenders. The benchmark's own process loads none of them. */
const files = {
  'async-mutex.mjs': ['async-mutex', 'async-semaphore'],
  'bottleneck.mjs': ['bottleneck', 'bottleneck-fast'],
  'live-mutex.mjs': ['live-mutex', 'live-mutex-fast'],
  'ours.mjs': ['ours', 'ours-memory', 'ours-local-passes'],
  'ours-telemetry.mjs': ['ours-metrics', 'ours-telemetry'],
  'ours-dashboard.mjs': ['ours-dashboard', 'ours-observed'],
  'ours-flights.mjs': ['ours-flights'],
  'p-limit.mjs': ['p-limit'],
  'raw.mjs': ['raw-set', 'raw-evalsha', 'raw-set-auto', 'raw-evalsha-auto', 'raw-batch'],
  'redis-kit.mjs': ['redis-kit', 'redis-kit-fast'],
  'redis-semaphore.mjs': [
    'redis-semaphore-mutex',
    'redis-semaphore-mutex-fast',
    'redis-semaphore',
    'redis-semaphore-fast',
  ],
  'redlock.mjs': ['redlock', 'redlock-patient', 'redlock-fast'],
  'simple-redis-mutex.mjs': ['simple-redis-mutex', 'simple-redis-mutex-fast'],
};

export const peerIds = Object.values(files).flat();

/** @returns {Promise<Peer>} */
export async function loadPeer(id) {
  const file = Object.keys(files).find((name) => files[name].includes(id));
  if (file === undefined) throw new Error(`There is no peer "${id}"`);
  const { peers } = await import(`./${file}`);
  return peers[id];
}

export async function openPeer(id, target) {
  const peer = await loadPeer(id);
  return peer.open(target);
}
