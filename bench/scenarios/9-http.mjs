import autocannon from 'autocannon';
import { ContenderProcess } from '../lib/contender.mjs';
import { atMost, times } from '../lib/goals.mjs';
import { startRedis } from '../lib/redis.mjs';
import { takeTurns } from '../lib/turns.mjs';

const CONNECTIONS = 20;
const HANDLERS = {
  none: 'empty handler',
  interceptor: 'with an interceptor that does nothing',
  memory: 'with @Semaphore() on memory',
  redis: 'with @Semaphore() on Redis',
};

function turnerOf(run, store) {
  let process;
  let redis;
  let url;
  return {
    id: store,
    name: HANDLERS[store],
    settings: 'Nest on Express, one key, 1,000 permits, else defaults',
    async open() {
      if (store === 'redis') redis = await startRedis();
      process = new ContenderProcess({ cpuProf: run.cpuProf, name: `http-${store}` });
      ({ url } = await process.call('serve', { store, port: redis?.port }));
    },
    async measure(repeat) {
      const duration = Math.max(1, repeat === 'warm' ? 3 : Math.round(2 * run.seconds));
      const before = await redis?.stats();
      const startedAt = Date.now();
      const result = await autocannon({ url, connections: CONNECTIONS, duration });
      const seconds = (Date.now() - startedAt) / 1000;
      const after = await redis?.stats();
      if (result['2xx'] === 0) throw new Error('no request succeeded');
      return {
        requestsPerSecond: result['2xx'] / seconds,
        latencyP99Ms: result.latency.p99,
        failed: result.non2xx + result.errors + result.timeouts,
        commandsPerSection: redis && (after.commands - before.commands) / result['2xx'],
        cpuUsPerSection: redis && (after.cpuUs - before.cpuUs) / result['2xx'],
      };
    },
    async close() {
      await process?.end();
      await redis?.stop();
    },
  };
}

/** How much of the throughput of the empty handler is gone, in per cent. */
function loss(group, store) {
  const share = times(group, store, 'none', 'requestsPerSecond');
  return share === undefined ? undefined : (1 - share) * 100;
}

export const scenario = {
  id: 9,
  run: async (run) => [
    await takeTurns(run, {
      title: `9  A Nest HTTP handler, ${CONNECTIONS} connections`,
      main: 'requestsPerSecond',
      turners: Object.keys(HANDLERS).map((store) => turnerOf(run, store)),
    }),
  ],
  goals: ([group]) => [
    atMost('throughput lost to @Semaphore() on memory', loss(group, 'memory'), 5, ' %'),
    atMost('throughput lost to @Semaphore() on Redis', loss(group, 'redis'), 35, ' %'),
  ],
};
