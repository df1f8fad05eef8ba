import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { SemaphoreService } from 'nestjs-semaphore';
import { Cli } from '../support/cli.js';
import { FlightWorker } from '../support/flight-worker.js';
import { pollUntil } from '../support/redis-admin.js';
import { useRedis } from '../support/redis-server.js';
import { uniquePrefix } from '../support/unique-prefix.js';

jest.setTimeout(120_000);

const ROUNDS = process.env['SEMAPHORE_LONG'] === '1' ? 20 : 5;
const GRACE_MS = 1500;
/** In which a server starts again, also on a machine under load. */
const STORE_TIMEOUT_MS = 30_000;
/** What a takeover may last, and what a machine under load may add to it. */
const TAKEOVER_MS = GRACE_MS + 250 + 750;

const redis = useRedis();

let prefix: string;
let server: Cli;
let url: string;
let workers: FlightWorker[];
let observer: SemaphoreService;

const serve = (port: string): ReturnType<typeof Cli.serve> =>
  Cli.serve(['-p', port, '-H', '127.0.0.1', '--redis-url', redis.url, '--key-prefix', prefix]);

const startWorker = (graceMs = GRACE_MS): Promise<FlightWorker> =>
  FlightWorker.start({ remote: { url, graceMs, storeTimeoutMs: STORE_TIMEOUT_MS } });

const runs = (key: string): number => workers.reduce((sum, worker) => sum + worker.runs(key), 0);

const followed = (key: string, by: number): Promise<void> =>
  pollUntil(`${by} follow`, async () => {
    return (await observer.inspect(`single-flight:${key}`)).waiters.length === by;
  });

describe('single flight of processes that know a server only', () => {
  beforeAll(async () => {
    prefix = uniquePrefix('flight');
    ({ server, url } = await serve('0'));
    observer = new SemaphoreService({ redis: redis.url, keyPrefix: prefix, log: 'none' });
    workers = await Promise.all([1, 2, 3].map(() => startWorker(20_000)));
  });

  afterAll(async () => {
    await Promise.all([observer.close(), ...workers.map((worker) => worker.kill())]);
    await server.kill();
  });

  it(`does the work of 150 equal calls once, in ${ROUNDS} of ${ROUNDS} rounds`, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const key = `together ${round}`;
      const order = { key, calls: 50, workMs: Infinity, value: 'x'.repeat(20_000 * round) };
      const calls = Promise.all(workers.map((worker) => worker.run(order)));
      await followed(key, 2);
      await Promise.race(workers.map((worker) => worker.began(key)));
      await Promise.all(workers.map((worker) => worker.finish(key)));
      const results = (await calls).flat();
      expect(runs(key)).toBe(1);
      expect(results).toHaveLength(3);
      expect(new Set(results.map((result) => JSON.stringify(result))).size).toBe(1);
    }
  });

  it(`takes over once from a leader that was killed, within its grace time, ${ROUNDS} of ${ROUNDS} times`, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const key = `killed ${round}`;
      const victim = await startWorker();
      const doomed = victim.run({ key, workMs: 60_000 }).catch(() => 'killed');
      await victim.began(key);
      const waiting = Promise.all(
        workers.map((worker) => worker.run({ key, calls: 5, workMs: 100, value: key })),
      );
      await followed(key, 3);
      await victim.kill();
      const killedAt = Date.now();
      const results = (await waiting).flat();
      expect(await doomed).toBe('killed');
      const begun = workers.flatMap((worker) => worker.begun).filter((each) => each.key === key);
      expect(begun).toEqual([{ key, at: expect.any(Number) }]);
      expect(begun[0]?.at).toBeLessThan(killedAt + TAKEOVER_MS);
      expect(new Set(results.map(({ by }) => by)).size).toBe(1);
    }
  });

  it('neither publishes nor keeps what a leader has that was stopped beyond its grace time', async () => {
    const key = 'stopped';
    await using sleeper = await startWorker();
    const flight = { key, options: { ttlMs: 60_000 } };
    const late = sleeper.run({ ...flight, workMs: 500, value: 'late' });
    await sleeper.began(key);
    sleeper.pause();
    const [other, third] = workers as [FlightWorker, FlightWorker];
    const right = await other
      .run({ ...flight, workMs: 2000, value: 'right' })
      .finally(() => sleeper.resume());
    expect(right).toMatchObject([{ by: other.pid, value: 'right' }]);
    expect(await late).toMatchObject([{ by: sleeper.pid, value: 'late' }]);
    expect(await third.run({ ...flight, workMs: 0 })).toEqual(right);
    expect(runs(key)).toBe(1);
  });

  it('goes on when the server is killed and started again', async () => {
    const key = 'restarted';
    const order = { key, workMs: Infinity, value: 'of the one' };
    const calls = Promise.all(workers.map((worker) => worker.run(order)));
    await followed(key, 2);
    await Promise.race(workers.map((worker) => worker.began(key)));
    await server.kill();
    await sleep(200);
    ({ server } = await serve(new URL(url).port));
    await Promise.all(workers.map((worker) => worker.finish(key)));
    const results = (await calls).flat();
    expect(runs(key)).toBe(1);
    expect(new Set(results.map(({ by }) => by)).size).toBe(1);
  });
});
