import autocannon from 'autocannon';
import { ContenderProcess } from '../lib/contender.mjs';
import { atLeast, times } from '../lib/goals.mjs';
import { startRedis } from '../lib/redis.mjs';
import { takeTurns } from '../lib/turns.mjs';

const CONNECTIONS = 20;
const API_KEY = 'benchmark-0123456789';
const SERVERS = {
  none: 'raw Nest routes with as long answers',
  memory: 'the lock server on memory',
  redis: 'the lock server on Redis',
};

let keys = 0;

/**
 * A permit taken and given back, again and again, each connection on a key of its own. A measurement ends between the two
 * for some: the next one has other keys.
 */
function pairs(url) {
  return {
    url,
    headers: { 'x-api-key': API_KEY },
    setupClient(client) {
      const path = `/v1/semaphores/key-${++keys}/permits`;
      client.setRequests([
        {
          method: 'POST',
          path,
          headers: { 'x-api-key': API_KEY, 'content-type': 'application/json' },
          body: JSON.stringify({ permits: 1, leaseMs: 30_000 }),
          onResponse(_status, body, context) {
            context.id = JSON.parse(body).id;
          },
        },
        {
          method: 'DELETE',
          headers: { 'x-api-key': API_KEY },
          setupRequest: (request, context) => ({ ...request, path: `${path}/${context.id}` }),
        },
      ]);
    },
  };
}

function turnerOf(run, store) {
  let process;
  let redis;
  let url;
  return {
    id: store,
    name: SERVERS[store],
    settings: 'Nest on Fastify, POST and DELETE of a permit, a key for each connection',
    async open() {
      if (store === 'redis') redis = await startRedis();
      process = new ContenderProcess({ cpuProf: run.cpuProf, name: `lock-server-${store}` });
      ({ url } = await process.call('serveLocks', { store, port: redis?.port }));
    },
    async measure(repeat) {
      // There is more to compile than in a handler that does nothing.
      const duration = Math.max(1, repeat === 'warm' ? 4 : Math.round(2 * run.seconds));
      const startedAt = Date.now();
      const result = await autocannon({ ...pairs(url), connections: CONNECTIONS, duration });
      const seconds = (Date.now() - startedAt) / 1000;
      if (result['2xx'] === 0) throw new Error('no request succeeded');
      return {
        requestsPerSecond: result['2xx'] / seconds,
        latencyP99Ms: result.latency.p99,
        failed: result.non2xx + result.errors + result.timeouts,
      };
    },
    async close() {
      await process?.end();
      await redis?.stop();
    },
  };
}

export const scenario = {
  id: 12,
  run: async (run) => [
    await takeTurns(run, {
      title: `12  Permits over HTTP, ${CONNECTIONS} connections`,
      main: 'requestsPerSecond',
      turners: Object.keys(SERVERS).map((store) => turnerOf(run, store)),
    }),
  ],
  goals: ([group]) => [
    atLeast(
      'lock server on memory against raw routes',
      times(group, 'memory', 'none', 'requestsPerSecond'),
      0.5,
      'x',
    ),
    atLeast(
      'lock server on Redis against raw routes',
      times(group, 'redis', 'none', 'requestsPerSecond'),
      0.5,
      'x',
    ),
  ],
};
