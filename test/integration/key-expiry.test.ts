import { describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import type { Permit } from 'nestjs-semaphore';
import { setTimeout as delay } from 'node:timers/promises';
import { pollUntil } from '../support/redis-admin.js';
import { canFakeTime } from '../support/redis-clock.js';
import { startRedis, useRedis } from '../support/redis-server.js';
import { readCounts } from '../support/redis-watch.js';
import { queued, rejection, Semaphores } from '../support/semaphores.js';
import { Worker } from '../support/workers.js';

const KEY = 'key';
/** Every key that nobody uses is gone after a few seconds; one that somebody waits for, within two minutes. */
const IDLE_AT_MOST_MS = 10_000;
const WAITED_FOR_AT_MOST_MS = 120_000;
/** A process that has said nothing for so long is dead to the others. */
const DEAD_AFTER_MS = 4000;
const DAY_MS = 86_400_000;

const server = useRedis();

function nameOf({ prefix }: Semaphores, part: '' | ':h' | ':q' = ''): string {
  return `${prefix}:{${KEY}}${part}`;
}

/** How long the keys of a test have to live at most; Infinity when one of them has no end. */
async function longestLife({ prefix }: Semaphores): Promise<number> {
  const keys = await server.admin.keys(`${prefix}*`);
  const ends = await Promise.all(keys.map((key) => server.admin.pttl(key)));
  return Math.max(0, ...ends.map((ms) => (ms === -1 ? Infinity : ms)));
}

describe('a key is not left behind', () => {
  test.each([1, 2])(
    'by an endless lease that was released and is kept a while, with %i holder(s)',
    async (holders) => {
      await using semaphores = new Semaphores({ redis: server.url });
      const service = semaphores.open();
      const options = { leaseMs: Infinity, holdAtLeastMs: 500, permits: 2 };
      const permits = await Promise.all(
        Array.from({ length: holders }, () => service.acquire(KEY, options)),
      );
      expect(await longestLife(semaphores)).toBe(Infinity);
      for (const permit of permits) expect(await permit.release()).toBe('released');
      expect((await service.inspect(KEY)).held).toBe(holders);
      expect(await longestLife(semaphores)).toBeLessThan(IDLE_AT_MOST_MS);
    },
  );

  test('by many leases of which some were endless, each given back without a look at all of them', async () => {
    await using semaphores = new Semaphores({ redis: server.url });
    const service = semaphores.open();
    const hold = (count: number, leaseMs: number): Promise<Permit[]> =>
      Promise.all(
        Array.from({ length: count }, () => service.acquire(KEY, { permits: 100, leaseMs })),
      );
    const [endless] = await Promise.all([hold(40, Infinity), hold(5, 30_000)]);
    const last = endless.pop();
    const before = await readCounts(server.admin);
    for (const permit of endless) expect(await permit.release()).toBe('released');
    expect((await readCounts(server.admin)).of('hgetall')).toBe(before.of('hgetall'));
    expect(await longestLife(semaphores)).toBe(Infinity);
    await last?.release();
    expect(await longestLife(semaphores)).toBeLessThan(DAY_MS);
  });

  test('by a permit that was endless until it was renewed for a while', async () => {
    await using semaphores = new Semaphores({ redis: server.url });
    const worker = await Worker.start({ redis: server.url, keyPrefix: semaphores.prefix });
    const service = semaphores.open();
    const permit = await service.acquire(KEY, { leaseMs: Infinity, permits: 2 });
    await worker.call('acquire', KEY, { leaseMs: 1000, permits: 2 });
    await worker.kill();
    await permit.renew(500);
    expect(await longestLife(semaphores)).toBeLessThan(IDLE_AT_MOST_MS);
  });

  test('by a limit that is pinned no more while somebody holds who dies', async () => {
    await using semaphores = new Semaphores({ redis: server.url });
    const service = semaphores.open();
    const worker = await Worker.start({ redis: server.url, keyPrefix: semaphores.prefix });
    await service.setPermits(KEY, 2);
    await worker.call('acquire', KEY, { leaseMs: 1000 });
    await service.setPermits(KEY, null);
    await worker.kill();
    expect(await longestLife(semaphores)).toBeLessThan(IDLE_AT_MOST_MS);
  });

  test('by a queue that was empty for a moment', async () => {
    await using semaphores = new Semaphores({ redis: server.url });
    const service = semaphores.open();
    const held = await service.acquire(KEY, { leaseMs: 1000 });
    for (const waitMs of [100, 60_000]) {
      const { outcome } = await queued(service, () => service.acquire(KEY, { waitMs }));
      expect(await server.admin.pttl(nameOf(semaphores, ':q'))).toBeGreaterThan(0);
      if (waitMs === 100) {
        await rejection(outcome);
        await pollUntil(
          'nobody waits',
          async () => !(await server.admin.exists(nameOf(semaphores, ':q'))),
        );
      }
    }
    expect(await longestLife(semaphores)).toBeLessThan(WAITED_FOR_AT_MOST_MS + IDLE_AT_MOST_MS);
    await held.release();
  });

  test('by a queue that was lost and put back', async () => {
    await using semaphores = new Semaphores({ redis: server.url });
    const [one, other] = [semaphores.open(), semaphores.open()];
    const held = await one.acquire(KEY, { leaseMs: Infinity });
    const { outcome } = await queued(other, () => other.acquire(KEY, { waitMs: 60_000 }));
    await server.admin.del(nameOf(semaphores, ':q'));
    const isBack = async (): Promise<boolean> =>
      (await server.admin.zcard(nameOf(semaphores, ':q'))) === 1;
    await pollUntil('the waiter is back', isBack, 5000);
    expect(await server.admin.pttl(nameOf(semaphores, ':q'))).toBeGreaterThan(0);
    await held.release();
    await (await outcome).release();
    expect(await longestLife(semaphores)).toBeLessThan(IDLE_AT_MOST_MS);
  });
});

test('a pinned limit outlives the crash of a holder and the end of its lease', async () => {
  await using semaphores = new Semaphores({ redis: server.url });
  const service = semaphores.open();
  const worker = await Worker.start({ redis: server.url, keyPrefix: semaphores.prefix });
  await worker.call('acquire', KEY, { permits: 5, leaseMs: 1000 });
  await service.setPermits(KEY, 2);
  await worker.kill();
  await pollUntil('the lease is over', async () => (await service.inspect(KEY)).held === 0, 3000);
  expect(await server.admin.pttl(nameOf(semaphores))).toBeGreaterThan(DAY_MS);
  const permit = await service.acquire(KEY, { permits: 5 });
  expect((await service.inspect(KEY)).permits).toBe(2);
  await permit.release();
  expect(await server.admin.pttl(nameOf(semaphores))).toBeGreaterThan(DAY_MS);
});

test('a waiter is served within 5 s when all that Redis knew of the holders is gone', async () => {
  await using semaphores = new Semaphores({ redis: server.url });
  const [one, other] = [semaphores.open(), semaphores.open()];
  const held = await one.acquire(KEY, { leaseMs: 600_000, renew: false });
  const { outcome } = await queued(other, () => other.acquire(KEY, { waitMs: 60_000 }));
  await server.admin.del(nameOf(semaphores));
  const lostAt = performance.now();
  await held.release();
  const permit = await outcome;
  expect(performance.now() - lostAt).toBeLessThan(5000);
  expect(await permit.release()).toBe('released');
});

test('45,000 waiters of one process stay alive for the others', async () => {
  await using own = await startRedis();
  const admin = new Redis(own.port);
  try {
    await using semaphores = new Semaphores({ redis: own.url });
    const [crowd, other] = [semaphores.open(), semaphores.open()];
    await other.acquire(KEY, { leaseMs: 600_000, renew: false });
    const refused: unknown[] = [];
    const count = 45_000;
    for (let i = 0; i < count; i++) {
      crowd.acquire(KEY, { waitMs: 600_000 }).catch((error: unknown) => refused.push(error));
      if (i % 5000 === 4999) await crowd.inspect(KEY).catch(() => undefined);
    }
    // Who waits itself asks whether the others are alive.
    await queued(other, () => other.acquire(KEY, { waitMs: 600_000 }));
    const name = `${semaphores.prefix}:{${KEY}}:q`;
    await pollUntil('all wait', async () => (await admin.zcard(name)) === count + 1);
    await delay(DEAD_AFTER_MS + 1000);
    expect(await admin.zcard(name)).toBe(count + 1);
    expect(refused).toEqual([]);
  } finally {
    admin.disconnect();
  }
}, 120_000);

(canFakeTime ? test : test.skip)(
  'tokens grow although the clock of the server was set back and the key was forgotten',
  async () => {
    await using own = await startRedis({ faketime: '+60' });
    await using semaphores = new Semaphores({ redis: own.url });
    const tokens: number[] = [];
    // The clock is set back by a minute; then the key is idle for 6 s.
    for (const offset of ['+60', '+0', '+6']) {
      await own.setClock(offset);
      const service = semaphores.open();
      const permit = await service.acquire(KEY);
      tokens.push(permit.fencingToken);
      expect(await permit.release()).toBe('released');
    }
    expect(tokens).toEqual([...new Set(tokens)].toSorted((a, b) => a - b));
  },
);

test('who is refused because of an endless permit is told to come back in half a minute', async () => {
  await using semaphores = new Semaphores({ redis: server.url });
  const service = semaphores.open();
  const permit = await service.acquire(KEY, { leaseMs: Infinity });
  const error = await rejection(service.acquire(KEY, { waitMs: 0 }));
  expect(error).toMatchObject({ reason: 'busy', retryAfterMs: 30_000 });
  await permit.release();
});

test('a release after the service was closed says that the permit expired', async () => {
  const semaphores = new Semaphores({ redis: server.url });
  const service = semaphores.open();
  const permits = [
    await service.acquire(KEY, { leaseMs: 1000 }),
    await service.acquire('endless', { leaseMs: Infinity }),
  ];
  await service.close();
  for (const permit of permits) expect(await permit.release()).toBe('expired');
});
