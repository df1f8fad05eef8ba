import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { SemaphoreService } from 'nestjs-semaphore';
import { withRedis } from '../support/redis-admin.js';
import { useRedis } from '../support/redis-server.js';
import { nextEvents, Semaphores } from '../support/semaphores.js';

const isLong = process.env['SEMAPHORE_LONG'] !== undefined;
const KEYS = isLong ? 100_000 : 30_000;
const CROWD = isLong ? 10_000 : 5_000;
const AT_ONCE = 5_000;
/** Nothing moves by itself while it is looked at. */
const options = { leaseMs: Infinity, waitMs: Infinity };

const redis = useRedis({ args: ['--slowlog-max-len', '100000'] });
let semaphores: Semaphores;
let owner: SemaphoreService;
let viewer: SemaphoreService;

beforeEach(() => {
  semaphores = new Semaphores({ redis: redis.url, storeTimeoutMs: 60_000 });
  [owner, viewer] = [semaphores.open(), semaphores.open()];
});
afterEach(async () => {
  await semaphores[Symbol.asyncDispose]();
  await withRedis(redis.port, (connection) => connection.flushall());
});

/** What one kind of command made Redis stand still for, in microseconds, longest first. */
async function stalls(command: string, task: () => Promise<unknown>): Promise<number[]> {
  return withRedis(redis.port, async (connection) => {
    await connection.config('SET', 'slowlog-log-slower-than', '0');
    await connection.slowlog('RESET');
    await task();
    const log = (await connection.slowlog('GET', 100_000)) as [
      number,
      number,
      number,
      [string, ...string[]],
    ][];
    await connection.config('SET', 'slowlog-log-slower-than', '-1');
    return log
      .filter(([, , , [name]]) => name.toLowerCase() === command)
      .map(([, , duration]) => duration)
      .toSorted((a, b) => b - a);
  });
}

/** A busy machine may take the processor away from Redis in the middle of a few commands. */
function median(durations: readonly number[]): number {
  return durations[Math.floor(durations.length / 2)] as number;
}

async function inPortions(count: number, task: (index: number) => Promise<unknown>) {
  for (let from = 0; from < count; from += AT_ONCE) {
    const portion = Math.min(AT_ONCE, count - from);
    await Promise.all(Array.from({ length: portion }, (_, index) => task(from + index)));
  }
}

/** Puts so many into the queue of a key that is held, and returns when all stand there. */
async function crowd(key: string): Promise<void> {
  await owner.acquire(key, options);
  const allWait = nextEvents(owner, 'waiting', CROWD);
  for (let index = 0; index < CROWD; index++) {
    owner
      .acquire(key, { ...options, priority: index % 3, label: `${index}` })
      .catch(() => undefined);
  }
  await allWait;
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, index) => from + index);
}

describe('on Redis', () => {
  test(`list() of ${KEYS} keys never holds up Redis for longer than for a few of them`, async () => {
    await inPortions(KEYS, (index) => owner.acquire(`key:${index}`, options));
    const found: string[] = [];
    const collect = async () => {
      for await (const key of viewer.list('key:*')) found.push(key);
    };
    const steps = await stalls('scan', collect);
    expect(found.length).toBe(KEYS);
    expect(new Set(found).size).toBe(KEYS);
    expect(steps.length).toBeGreaterThan(KEYS / 1_000);
    const [all = 0] = await stalls('keys', () =>
      withRedis(redis.port, (connection) => connection.keys('*')),
    );
    expect(median(steps)).toBeLessThan(all / 4);
    const checks = await stalls('evalsha', collect);
    expect(checks.length).toBeGreaterThan(KEYS / 1_000);
    expect(median(checks)).toBeLessThan(all / 2);
    await owner.close();
  }, 120_000);

  test(`inspect() of ${CROWD} waiters never holds up Redis for longer than for a few of them`, async () => {
    await crowd('k');
    let snapshot = await viewer.inspect('k');
    const pages = await stalls('eval', async () => {
      snapshot = await viewer.inspect('k');
    });
    expect(snapshot).toMatchObject({ permits: 1, held: 1, available: 0 });
    expect(snapshot.holders.length).toBe(1);
    const expected = range(0, CROWD)
      .toSorted((a, b) => (b % 3) - (a % 3) || a - b)
      .map(String);
    expect(snapshot.waiters.map(({ label }) => label)).toEqual(expected);

    expect(pages.length).toBeGreaterThanOrEqual(CROWD / 500);
    const queue = `${semaphores.prefix}:{k}:q`;
    const all = await stalls('eval', () =>
      withRedis(redis.port, async (connection) => {
        const script = "return redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')";
        for (let times = 0; times < 5; times++) await connection.eval(script, 1, queue);
      }),
    );
    expect(median(pages)).toBeLessThan(median(all) / 2);
  }, 120_000);

  test(`inspect() shows all of ${CROWD} holders`, async () => {
    await inPortions(CROWD, (index) =>
      owner.acquire('k', { ...options, permits: CROWD, label: `${index}` }),
    );
    let snapshot = await viewer.inspect('k');
    const pages = await stalls('eval', async () => {
      snapshot = await viewer.inspect('k');
    });
    expect(snapshot).toMatchObject({ permits: CROWD, held: CROWD, available: 0, waiters: [] });
    const labels = snapshot.holders.map(({ label }) => Number(label));
    expect(labels).toEqual(range(0, CROWD));
    expect(pages.length).toBeGreaterThanOrEqual(CROWD / 1_000);
  }, 120_000);

  test('inspect() misses nobody who goes from the queue to the permits meanwhile', async () => {
    const permits = 40;
    const held = await Promise.all(
      Array.from({ length: permits }, () => owner.acquire('k', { ...options, permits })),
    );
    const count = 2_000;
    const allWait = nextEvents(owner, 'waiting', count);
    const waits = Array.from({ length: count }, (_, index) =>
      owner.acquire('k', { ...options, permits, label: `${index}` }),
    );
    await allWait;
    let served = 0;
    const isOver = Promise.all([
      ...held.map((permit) => permit.release()),
      ...waits.map(async (wait) => {
        const permit = await wait;
        served++;
        await permit.release();
      }),
    ]).then(() => 'over');
    let inspections = 0;
    while ((await Promise.race([isOver, Promise.resolve('on')])) === 'on') {
      const { holders, waiters } = await viewer.inspect('k');
      const ids = [...holders, ...waiters].map(({ id }) => id);
      expect(new Set(ids).size).toBe(ids.length);
      const places = waiters.map(({ label }) => Number(label));
      expect(places).toEqual(places.toSorted((one, other) => one - other));
      // Who has not been served by now was there all the time.
      const shown = [...places, ...holders.map(({ label }) => Number(label))];
      const missing = range(served, count).filter((place) => !shown.includes(place));
      expect(missing).toEqual([]);
      inspections++;
    }
    expect(inspections).toBeGreaterThan(1);
  }, 120_000);
});
