import { expect, jest, test } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { ALL_IS_WELL, Crew } from '../support/faults/crew.js';
import type { WorkerState } from '../support/faults/fault-worker.js';
import { FAULTS, LOSSY_FAULTS, type Site } from '../support/faults/random-faults.js';
import { TcpProxy } from '../support/faults/tcp-proxy.js';
import { startRedis } from '../support/redis-server.js';

const MINUTES = Number(process.env['SOAK_MINUTES'] ?? 1);
const SEED = Number(process.env['SOAK_SEED'] ?? 1);
const IS_LOSSY = Boolean(process.env['SOAK_LOSSY']);
const ROUND_MS = Math.min(60_000, (MINUTES * 60_000) / 3);
const PROCESSES = 4;
const MB = 1 << 20;

jest.setTimeout((MINUTES + 5) * 120_000);

test(`${MINUTES} minutes of random faults, seed ${SEED}`, async () => {
  const random = randomFrom(SEED);
  const faults = IS_LOSSY ? [...FAULTS, ...LOSSY_FAULTS] : FAULTS;
  await using redis = await startRedis({
    args: ['--appendonly', 'yes', '--appendfsync', 'always'],
  });
  await using crew = await Crew.start({
    workers: 0,
    service: { redis: redis.url, storeTimeoutMs: 2000 },
  });
  const proxies: TcpProxy[] = [];
  try {
    for (let i = 0; i < PROCESSES; i++) {
      const proxy = await TcpProxy.start(redis.port);
      proxies.push(proxy);
      await crew.hire({ redis: proxy.url });
    }
    const survivors = crew.workers.slice(0, PROCESSES - 1);
    const states: WorkerState[][] = [];
    const site: Site = { redis, crew, proxies, random };
    const end = performance.now() + MINUTES * 60_000;
    while (performance.now() < end) {
      const roundEnd = Math.min(end, performance.now() + ROUND_MS);
      const permits = IS_LOSSY ? 1 : 3;
      await crew.contend({ fibers: 4, holdMs: 20, options: { permits, leaseMs: 1500 } });
      const done: string[] = [];
      while (performance.now() < roundEnd) {
        const fault = faults[Math.floor(random() * faults.length)] as (typeof faults)[number];
        done.push(fault.name);
        await fault(site);
        await delay(2000 + random() * 3000);
      }
      await crew.progress(1);
      const verdict = await crew.judge({
        ports: [redis.port],
        refusals: ['SEMAPHORE_STORE_UNAVAILABLE', 'SEMAPHORE_TIMEOUT'],
        isFenced: IS_LOSSY,
      });
      states.push(await Promise.all(survivors.map((worker) => worker.call('state'))));
      const entries = crew.journal.of('entered').length;
      process.stdout.write(`${entries} entries; ${done.join(', ')}\n`);
      expect({ ...verdict, exits: ['exit 0'] }).toEqual(ALL_IS_WELL);
      crew.journal.forget();
    }
    compare(states);
    const outcome = await crew.settle({ ports: [redis.port] });
    expect(outcome).toEqual(ALL_IS_WELL);
  } finally {
    await Promise.all(proxies.map((proxy) => proxy[Symbol.asyncDispose]()));
  }
});

/** The first round warms the processes up. */
function compare(states: readonly WorkerState[][]): void {
  const [first, last] = [states[0] ?? [], states.at(-1) ?? []];
  for (const [i, before] of first.entries()) {
    const after = last[i] as WorkerState;
    const [rss, heap] = [after.rss - before.rss, after.heapUsed - before.heapUsed];
    process.stdout.write(
      `process ${i + 1}: rss ${Math.round(before.rss / MB)} MB, grew by ${Math.round(rss / MB)} MB, heap by ${(heap / MB).toFixed(1)} MB\n`,
    );
    expect(after.sockets).toBe(before.sockets);
    expect(heap).toBeLessThan(10 * MB);
    expect(rss).toBeLessThan(50 * MB);
  }
}

/** mulberry32 */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
