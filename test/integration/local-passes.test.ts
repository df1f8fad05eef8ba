import { expect, test } from '@jest/globals';
import { overTheLimit, tokensThatDoNotGrow } from '../support/history.js';
import { pollUntil, withRedis } from '../support/redis-admin.js';
import { useRedis } from '../support/redis-server.js';
import { uniquePrefix } from '../support/unique-prefix.js';
import { Workers } from '../support/workers.js';

const PROCESSES = 4;
const LOAD = {
  key: 'passed',
  permits: 1,
  maxWeight: 1,
  callers: 10,
  durationMs: process.env['SEMAPHORE_LONG'] ? 30_000 : 4_000,
  maxWorkMs: 2,
  options: { localPasses: 8, leaseMs: 1000 },
};

const redis = useRedis();

test(
  'permits pass within four processes: never two at once, tokens grow, and no process starves',
  async () => {
    await using started = new Workers({ redis: redis.url, keyPrefix: uniquePrefix('passes') });
    const workers = await Promise.all(Array.from({ length: PROCESSES }, () => started.start()));

    const results = await Promise.all(workers.map((worker) => worker.call('load', LOAD)));

    const history = results.flatMap(({ entries }) => entries);
    expect(overTheLimit(history)).toEqual([]);
    expect(tokensThatDoNotGrow(history)).toEqual([]);
    expect(results.map(({ lost }) => lost)).toEqual([0, 0, 0, 0]);
    // Several held under one id, one after another.
    expect(new Set(history.map(({ id }) => id)).size).toBeLessThan(history.length * 0.9);
    const shares = results.map(({ entries }) => entries.length / history.length);
    expect(Math.min(...shares)).toBeGreaterThan(0.1);

    await Promise.all(workers.map((worker) => worker.call('close')));
    await pollUntil('all keys are gone', () => keysAreGone(redis.port), 10_000);
  },
  LOAD.durationMs + 50_000,
);

test(
  'a process that is killed while it passes permits takes none with it',
  async () => {
    await using started = new Workers({ redis: redis.url, keyPrefix: uniquePrefix('passes') });
    const workers = await Promise.all([started.start(), started.start(), started.start()]);
    const [doomed, ...others] = workers;
    const fate = doomed?.call('load', LOAD).catch(() => undefined);
    const results = others.map((worker) => worker.call('load', LOAD));
    await new Promise((resolve) => setTimeout(resolve, LOAD.durationMs / 3));
    const killedAt = Number(process.hrtime.bigint()) / 1e6;
    await doomed?.kill();
    await fate;

    const history = (await Promise.all(results)).flatMap(({ entries }) => entries);
    expect(overTheLimit(history)).toEqual([]);
    expect(tokensThatDoNotGrow(history)).toEqual([]);
    const after = history.map(({ enteredAt }) => enteredAt).filter((at) => at > killedAt);
    expect(Math.min(...after) - killedAt).toBeLessThan(LOAD.options.leaseMs + 1250);
  },
  LOAD.durationMs + 50_000,
);

function keysAreGone(port: number): Promise<boolean> {
  return withRedis(port, async (connection) => (await connection.dbsize()) === 0);
}
