import { expect, test } from '@jest/globals';
import { longestStall, outOfTurn, overTheLimit, tokensThatDoNotGrow } from '../support/history.js';
import { pollUntil, withRedis } from '../support/redis-admin.js';
import { useRedis } from '../support/redis-server.js';
import { ArrivalWatch } from '../support/redis-watch.js';
import { uniquePrefix } from '../support/unique-prefix.js';
import { Workers } from '../support/workers.js';

const PROCESSES = 4;
const DURATION_MS = process.env['SEMAPHORE_LONG'] ? 60_000 : 8_000;
const LIMIT = 7;
const MAX_WEIGHT = 3;

const redis = useRedis();

test(
  'four processes keep the limit and the order, and leave nothing behind',
  async () => {
    const keyPrefix = uniquePrefix('load');
    const load = {
      key: 'load',
      permits: LIMIT,
      callers: 25,
      durationMs: DURATION_MS,
      maxWorkMs: 20,
    };
    await using watch = await ArrivalWatch.start(redis.port, /call-\d+-\d+/);
    await using started = new Workers({ redis: redis.url, keyPrefix });
    const workers = await Promise.all(Array.from({ length: PROCESSES }, () => started.start()));

    const results = await Promise.all(workers.map((worker) => worker.call('load', load)));

    const history = results.flatMap(({ entries }) => entries);
    const refused = new Set(results.flatMap((result) => Object.keys(result.refused)));
    expect(history.length).toBeGreaterThan(DURATION_MS / 20);
    expect(new Set(history.map(({ id }) => id)).size).toBe(history.length);
    expect(new Set(history.map(({ pid }) => pid)).size).toBe(PROCESSES);
    expect(overTheLimit(history)).toEqual([]);
    expect(tokensThatDoNotGrow(history)).toEqual([]);
    expect(outOfTurn(history, watch.arrivals)).toEqual([]);
    expect([...refused].toSorted()).toEqual(['AcquireAbortedError', 'busy', 'timeout']);
    expect(results.map(({ lost }) => lost)).toEqual([0, 0, 0, 0]);
    // A lost wake-up would be repaired by the next poll only.
    expect(longestStall(history, MAX_WEIGHT)).toBeLessThan(1000);

    await Promise.all(workers.map((worker) => worker.call('close')));
    await pollUntil('all keys are gone', () => keysAreGone(redis.port), 10_000);
  },
  DURATION_MS + 50_000,
);

function keysAreGone(port: number): Promise<boolean> {
  return withRedis(port, async (connection) => (await connection.dbsize()) === 0);
}
