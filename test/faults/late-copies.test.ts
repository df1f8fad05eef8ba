import { beforeAll, describe, expect, test } from '@jest/globals';
import type { SemaphoreService } from 'nestjs-semaphore';
import { setTimeout as delay } from 'node:timers/promises';
import { LateCopy } from '../support/faults/late-copy.js';
import { pollUntil, withRedis } from '../support/redis-admin.js';
import { countCommands } from '../support/redis-watch.js';
import { useRedis } from '../support/redis-server.js';
import { queued, rejection, Semaphores } from '../support/semaphores.js';

const KEY = 'key';
const STORE_TIMEOUT_MS = 2000;
/** Whatever is left behind stays. */
const OPTIONS = { leaseMs: Infinity, waitMs: 60_000 };

/** Where users may not end connections, as in Cluster, so that copies arrive. */
const redis = useRedis();
const usual = useRedis();

beforeAll(async () => {
  await withRedis(redis.port, async (admin) => {
    await admin.acl('SETUSER', 'admin', 'on', '>secret', '+@all');
    await admin.acl('SETUSER', 'default', '-client');
  });
});

interface Scene {
  /** Its connection breaks. */
  own: SemaphoreService;
  other: SemaphoreService;
  copies: LateCopy;
}

/** @param act until the id, of which a copy of a call is kept, neither holds nor waits */
async function play(act: (scene: Scene) => Promise<void>): Promise<void> {
  await using copies = await LateCopy.start(redis.port);
  await using semaphores = new Semaphores({ storeTimeoutMs: STORE_TIMEOUT_MS });
  const own = semaphores.open({ redis: copies.url });
  const other = semaphores.open({ redis: redis.url });
  await act({ own, other, copies });
  const left = async (): Promise<number> => {
    const { holders, waiters } = await other.inspect(KEY);
    return holders.length + waiters.length;
  };
  await pollUntil('nothing is known of it', async () => (await left()) === 0);
  copies.deliver();
  await pollUntil('the copy was run', async () => (await left()) === 1);
  await pollUntil('nothing is left of it', async () => (await left()) === 0);
}

function nobodyWaits(service: SemaphoreService): Promise<void> {
  return pollUntil('nobody waits', async () => (await service.inspect(KEY)).waiters.length === 0);
}

describe('a copy of an acquire that arrives late takes no permit for long', () => {
  test('when it was granted and released meanwhile', async () => {
    await play(async ({ own, copies }) => {
      const kept = copies.keep(/\{key\}/);
      const permit = await own.acquire(KEY, OPTIONS);
      await kept;
      expect(await permit.release()).toBe('released');
    });
  });

  test('when it was taken by force meanwhile', async () => {
    await play(async ({ own, other, copies }) => {
      const kept = copies.keep(/\{key\}/);
      const permit = await own.acquire(KEY, OPTIONS);
      await kept;
      expect(await other.forceRelease(KEY, permit.id)).toBe(true);
      await pollUntil('its holder has heard of it', () => Promise.resolve(!permit.isHeld));
    });
  });

  test('when it waited, was asked for once more, and was granted and released meanwhile', async () => {
    await play(async ({ own, other, copies }) => {
      const held = await other.acquire(KEY, OPTIONS);
      const kept = copies.keep(/\{key\}/);
      const { outcome } = await queued(own, () => own.acquire(KEY, OPTIONS));
      await kept;
      await held.release();
      expect(await (await outcome).release()).toBe('released');
    });
  });

  test('when it was granted by a release of the same call, and released meanwhile', async () => {
    await play(async ({ own, copies }) => {
      const held = await own.acquire(KEY, OPTIONS);
      const kept = copies.keep(/\{key\}/);
      const acquiring = own.acquire(KEY, OPTIONS);
      await Promise.all([held.release(), kept]);
      expect(await (await acquiring).release()).toBe('released');
    });
  });

  test('when it was dropped by force meanwhile, of which no message told', async () => {
    await play(async ({ own, other, copies }) => {
      const held = await other.acquire(KEY, OPTIONS);
      const kept = copies.keep(/\{key\}/);
      const { outcome } = await queued(own, () => own.acquire(KEY, OPTIONS));
      const lost = rejection(outcome);
      await kept;
      const [waiter] = (await other.inspect(KEY)).waiters;
      await withRedis(redis.port, async (admin) => {
        await admin.auth('admin', 'secret');
        await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
      });
      expect(await other.forceRelease(KEY, String(waiter?.id))).toBe(true);
      expect(await lost).toMatchObject({ code: 'SEMAPHORE_PERMIT_LOST' });
      await held.release();
    });
  });

  test('when it was refused meanwhile', async () => {
    await play(async ({ own, other, copies }) => {
      const held = await other.acquire(KEY, OPTIONS);
      const kept = copies.keep(/\{key\}/);
      expect(await own.tryAcquire(KEY, OPTIONS)).toBeNull();
      await kept;
      await held.release();
    });
  });

  test('when it was given up meanwhile', async () => {
    await play(async ({ own, other, copies }) => {
      const held = await other.acquire(KEY, OPTIONS);
      const kept = copies.keep(/\{key\}/);
      const signal = AbortSignal.timeout(500);
      const outcome = rejection(own.acquire(KEY, { ...OPTIONS, signal }));
      await kept;
      expect(await outcome).toMatchObject({ code: 'SEMAPHORE_ABORTED' });
      await nobodyWaits(other);
      await held.release();
    });
  });
});

test('a copy of a poll that arrives late puts nobody back for long who was served meanwhile', async () => {
  await play(async ({ own, other, copies }) => {
    const held = await other.acquire(KEY, { waitMs: 60_000 });
    const { outcome } = await queued(own, () => own.acquire(KEY, { waitMs: 60_000 }));
    const breakIt = await copies.stall(/\bP1\r\n/);
    await held.release();
    const permit = await outcome;
    breakIt();
    expect(await permit.release()).toBe('released');
  });
});

test('a copy of a poll that arrives late puts nobody back for long who gave up meanwhile', async () => {
  await play(async ({ own, other, copies }) => {
    const held = await other.acquire(KEY, OPTIONS);
    const abort = new AbortController();
    const { outcome } = await queued(own, () =>
      own.acquire(KEY, { ...OPTIONS, signal: abort.signal }),
    );
    await copies.keep(/\bP1\r\n/);
    abort.abort();
    expect(await rejection(outcome)).toMatchObject({ code: 'SEMAPHORE_ABORTED' });
    await nobodyWaits(other);
    await held.release();
  });
});

test('a copy of the first call of a process that arrives when its caller has given up takes nothing', async () => {
  const storeTimeoutMs = 300;
  await using copies = await LateCopy.start(redis.port);
  await using semaphores = new Semaphores({ storeTimeoutMs });
  const own = semaphores.open({ redis: copies.url });
  const other = semaphores.open({ redis: redis.url });
  const kept = copies.keep(/\{key\}/);
  const permit = await own.acquire(KEY, OPTIONS);
  await kept;
  await permit.release();
  // By then it was taken back once more.
  await delay(3 * storeTimeoutMs);

  const { scripts } = await countCommands(redis.port);
  copies.deliver();
  await pollUntil('the copy has arrived', async () => {
    return (await countCommands(redis.port)).scripts > scripts;
  });
  expect((await other.inspect(KEY)).holders).toEqual([]);
});

describe('where a process may end the connection that broke, no copy arrives late', () => {
  interface Calls {
    own: SemaphoreService;
    other: SemaphoreService;
  }

  test.each<[string, RegExp, (calls: Calls) => Promise<() => Promise<void>>]>([
    [
      'of setPermits()',
      /\bL10\r\n/,
      async ({ own, other }) => {
        await own.setPermits(KEY, 10);
        await own.setPermits(KEY, 1);
        return async () => expect(await other.inspect(KEY)).toMatchObject({ permits: 1 });
      },
    ],
    [
      'of renew()',
      / 600\r\n/,
      async ({ own, other }) => {
        const permit = await own.acquire(KEY, { renew: false });
        await permit.renew(600);
        await permit.renew(30_000);
        const before = (await other.inspect(KEY)).holders;
        return async () => expect((await other.inspect(KEY)).holders).toEqual(before);
      },
    ],
  ])('%s', async (_, pattern, call) => {
    await using copies = await LateCopy.start(usual.port);
    await using semaphores = new Semaphores({ storeTimeoutMs: STORE_TIMEOUT_MS });
    const own = semaphores.open({ redis: copies.url });
    const other = semaphores.open({ redis: usual.url });
    await own.health();
    const kept = copies.keep(pattern);
    const [expectUnchanged] = await Promise.all([call({ own, other }), kept]);
    copies.deliver();
    await delay(50);
    await expectUnchanged();
  });
});
