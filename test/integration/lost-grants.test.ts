import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import type { AcquireOptions, Permit, SemaphoreService } from 'nestjs-semaphore';
import { RedisSemaphoreStore } from '../../lib/store/redis/redis.semaphore-store.js';
import type {
  AcquireRequest,
  Grant,
  StoreClient,
  StoreSession,
} from '../../lib/store/semaphore-store.js';
import { BUSY_SLACK_MS } from '../support/busy-machine.js';
import { ReplyGate } from '../support/faults/reply-gate.js';
import { pollUntil } from '../support/redis-admin.js';
import { canFakeTime } from '../support/redis-clock.js';
import { startRedis, useRedis } from '../support/redis-server.js';
import { queued, rejection, Semaphores } from '../support/semaphores.js';
import { uniquePrefix } from '../support/unique-prefix.js';
import { Worker, Workers } from '../support/workers.js';

const KEY = 'key';
/** A grant that was told by a message lapses when nobody claims it for so long. */
const CLAIM_WITHIN_MS = 2000;
/** How often a process asks for its waiters, at least. */
const ASKING_MS = 1500;

const server = useRedis();

async function waiterIds(service: SemaphoreService): Promise<string[]> {
  return (await service.inspect(KEY)).waiters.map(({ id }) => id);
}

function waiting(
  service: SemaphoreService,
  options: AcquireOptions,
): Promise<{ outcome: Promise<Permit> }> {
  return queued(service, () => service.acquire(KEY, { waitMs: 60_000, ...options }));
}

function codeOf(outcome: Promise<unknown>): Promise<unknown> {
  return outcome.then(
    () => 'granted',
    (error: { code: string }) => error.code,
  );
}

test('a grant that lapsed before the late reply to its acquire arrived is made again', async () => {
  await using gate = await ReplyGate.start(server.port);
  await using semaphores = new Semaphores({ redis: server.url });
  const [holder, late] = [semaphores.open(), semaphores.open({ redis: gate.url })];
  const held = await holder.acquire(KEY, { leaseMs: 60_000 });
  await (await late.acquire('other')).release();
  gate.shut();
  const permit = late.acquire(KEY, { waitMs: 60_000, leaseMs: 60_000 });
  await pollUntil('it waits', async () => (await waiterIds(holder)).length === 1);
  await held.release();
  await pollUntil('its grant was sent', async () => (await waiterIds(holder)).length === 0);
  await delay(CLAIM_WITHIN_MS + 200);
  gate.open();
  const openedAt = performance.now();
  expect((await permit).isHeld).toBe(true);
  expect(performance.now() - openedAt).toBeLessThan(1000);
  await (await permit).release();
});

test('waiters that give up while Redis refuses for a moment leave no ghost in the queue', async () => {
  await using own = await startRedis({ args: ['--busy-reply-threshold', '5'] });
  const busy = new Redis(own.port);
  const control = new Redis(own.port);
  try {
    await using semaphores = new Semaphores({ redis: own.url });
    const [crowd, holder] = [semaphores.open(), semaphores.open()];
    const held = await holder.acquire(KEY, { leaseMs: 60_000, renew: false });
    const { outcome: last } = await waiting(crowd, { leaseMs: 60_000 });
    const impatient = Array.from({ length: 40 }, (_, i) =>
      codeOf(crowd.acquire(KEY, { waitMs: 1700 + i * 40, leaseMs: 60_000, priority: 1 })),
    );
    await pollUntil('all wait', async () => (await waiterIds(holder)).length === 41);
    await delay(1000);
    const endless = rejection(busy.eval('while true do end', 0));
    await Promise.all(impatient.slice(0, 38));
    await control.script('KILL');
    await endless;
    expect(new Set(await Promise.all(impatient))).toEqual(new Set(['SEMAPHORE_TIMEOUT']));
    await pollUntil('only one waits', async () => (await waiterIds(holder)).length === 1, 5000);
    await delay(ASKING_MS + 200);
    expect(await waiterIds(holder)).toHaveLength(1);
    const releasedAt = performance.now();
    await held.release();
    await (await last).release();
    expect(performance.now() - releasedAt).toBeLessThan(1000);
  } finally {
    busy.disconnect();
    control.disconnect();
  }
});

describe('a grant that came by a message', () => {
  test('is claimed by asking again under its id', async () => {
    const store = new RedisSemaphoreStore({ redis: server.url, keyPrefix: uniquePrefix() });
    const grants: Grant[] = [];
    const [one, other] = [connect(store, []), connect(store, grants)];
    await one.acquire(request('first'));
    expect(await other.acquire(request('second'))).toEqual({ status: 'waiting' });
    await one.release(KEY, 'first', 0);
    await pollUntil('the grant came', () => Promise.resolve(grants.length === 1));
    expect(grants).toMatchObject([{ provisional: true }]);
    const again = await other.acquire(request('second'));
    expect(again).toMatchObject({
      status: 'granted',
      grant: { fencingToken: grants[0]?.fencingToken, provisional: false, deadline: Infinity },
    });
    expect((await one.inspect(KEY)).holders).toMatchObject([{ id: 'second', expiresAt: Infinity }]);
    await other.release(KEY, 'second', 0);
    await Promise.all([one.close(), other.close()]);
  });

  test('goes on when its short lease is over, if its process dies before it claims it', async () => {
    await using semaphores = new Semaphores({ redis: server.url });
    await using workers = new Workers({ redis: server.url, keyPrefix: semaphores.prefix });
    const [first, next] = [semaphores.open(), semaphores.open()];
    const started = await Promise.all(Array.from({ length: 6 }, () => workers.start()));
    const scenes = [];
    for (const [i, worker] of started.entries()) {
      const key = `${KEY} ${i}`;
      const held = await first.acquire(key);
      const victim = { leaseMs: 400, waitMs: 60_000 };
      worker.call('acquireAndDie', key, victim).catch(() => undefined);
      const isWaiting = async (): Promise<boolean> =>
        (await first.inspect(key)).waiters.length === 1;
      await pollUntil('the victim waits', isWaiting);
      const { outcome } = await queued(next, () => next.acquire(key, { waitMs: 60_000 }));
      scenes.push({ held, outcome });
    }
    const took = await Promise.all(
      scenes.map(async ({ held, outcome }) => {
        const releasedAt = performance.now();
        await held.release();
        const permit = await outcome;
        const goesOnAt = performance.now();
        await permit.release();
        return goesOnAt - releasedAt;
      }),
    );
    expect(Math.max(...took)).toBeLessThan(400 + BUSY_SLACK_MS);
  });
});

test.each([{ renew: false }, { leaseMs: Infinity }])(
  'a grant is held although its holder keeps the event loop busy at once, with %j',
  async (options) => {
    await using semaphores = new Semaphores({ redis: server.url });
    const [one, other] = [semaphores.open(), semaphores.open()];
    const held = await one.acquire(KEY);
    const { outcome } = await waiting(other, options);
    await held.release();
    const permit = await outcome;
    const end = performance.now() + 2500;
    while (performance.now() < end);
    expect(permit.isHeld).toBe(true);
    const { holders } = await one.inspect(KEY);
    expect(holders.map(({ id }) => id)).toEqual([permit.id]);
    expect(await permit.release()).toBe('released');
  },
);

test('the dead behind a waiter that lives do not keep the queue full for longer than 5 s', async () => {
  await using semaphores = new Semaphores({ redis: server.url });
  const [holder, living] = [semaphores.open(), semaphores.open()];
  const held = await holder.acquire(KEY);
  const { outcome } = await waiting(living, {});
  const worker = await Worker.start({ redis: server.url, keyPrefix: semaphores.prefix });
  for (let i = 0; i < 9; i++) await worker.call('enqueue', KEY, { waitMs: 100_000 });
  const ask = (): Promise<unknown> => codeOf(holder.acquire(KEY, { waitMs: 10, maxWaiting: 10 }));
  expect(await ask()).toBe('SEMAPHORE_QUEUE_FULL');
  await worker.kill();
  await pollUntil('there is room', async () => (await ask()) === 'SEMAPHORE_TIMEOUT', 5000);
  await pollUntil('one is left', async () => (await waiterIds(holder)).length === 1, 1000);
  await held.release();
  await (await outcome).release();
});

const withFakeTime = canFakeTime ? describe : describe.skip;

withFakeTime('waiters that died, as time goes by,', () => {
  test('keep out callers that never wait for 5 s at most', async () => {
    await using own = await startRedis({ faketime: '+0' });
    await using semaphores = new Semaphores({ redis: own.url });
    const service = semaphores.open();
    const held = await service.acquire(KEY, { permits: 3, leaseMs: 60_000 });
    const worker = await Worker.start({ redis: own.url, keyPrefix: semaphores.prefix });
    await worker.call('enqueue', KEY, { permits: 3, weight: 3, waitMs: 100_000 });
    const fits = async (): Promise<boolean> => {
      const permit = await service.tryAcquire(KEY, { permits: 3 });
      await permit?.release();
      return permit !== null;
    };
    expect(await fits()).toBe(false);
    await worker.kill();
    await own.setClock('+3.5');
    // It may be the server that stood still for so long.
    expect(await fits()).toBe(false);
    await own.setClock('+5');
    expect(await fits()).toBe(true);
    expect(await waiterIds(service)).toEqual([]);
    await held.release();
  });

  test('are not granted one after another', async () => {
    await using own = await startRedis({ faketime: '+0' });
    await using semaphores = new Semaphores({ redis: own.url });
    await using workers = new Workers({ redis: own.url, keyPrefix: semaphores.prefix });
    const service = semaphores.open();
    const held = await service.acquire(KEY, { leaseMs: 60_000 });
    const dead = await Promise.all([1, 2, 3, 4].map(() => workers.start()));
    await Promise.all(dead.map((worker) => worker.call('enqueue', KEY, { waitMs: 100_000 })));
    await Promise.all(dead.map((worker) => worker.kill()));
    await own.setClock('+5');
    await held.release();
    let permit: Permit | null = null;
    let lapsed = 0;
    while ((permit = await service.tryAcquire(KEY)) === null) {
      lapsed++;
      await own.setClock(`+${5 + lapsed * 2.5}`);
    }
    expect(lapsed).toBeLessThanOrEqual(2);
    await permit.release();
  });
});

/** One process holds, and one waits that misses what is said now. */
async function deafWaiter(semaphores: Semaphores) {
  const [owner, other] = [semaphores.open(), semaphores.open()];
  const held = await owner.acquire(KEY);
  const { outcome } = await waiting(other, {});
  const [id] = (await waiterIds(owner)) as [string];
  await server.admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  return { owner, held, id, outcome };
}

test('a waiter that was dropped by force stays dropped although its process missed the message', async () => {
  await using semaphores = new Semaphores({ redis: server.url });
  const { owner, held, id, outcome } = await deafWaiter(semaphores);
  expect(await owner.forceRelease(KEY, id)).toBe(true);
  expect(await rejection(outcome)).toMatchObject({
    code: 'SEMAPHORE_PERMIT_LOST',
    permitId: id,
    reason: 'forced',
  });
  expect(await waiterIds(owner)).toEqual([]);
  await held.release();
  expect((await owner.inspect(KEY)).holders).toEqual([]);
});

test('a waiter that was dropped by force stays dropped although the semaphore was idle before its process asked', async () => {
  await using semaphores = new Semaphores({ redis: server.url });
  const { owner, held, id, outcome } = await deafWaiter(semaphores);
  const [wasDropped] = await Promise.all([owner.forceRelease(KEY, id), held.release()]);
  expect(wasDropped).toBe(true);
  expect(await rejection(outcome)).toMatchObject({ permitId: id, reason: 'forced' });
  expect(await owner.inspect(KEY)).toMatchObject({ holders: [], waiters: [] });
});

describe('what a process was granted and did not know it held', () => {
  const taken = {
    released: (session: StoreSession) => session.release(KEY, 'second', 0),
    'released and kept': (session: StoreSession) => session.release(KEY, 'second', 60_000),
    'renewed and released': async (session: StoreSession) => {
      await session.renew(KEY, 'second', 60_000);
      return session.release(KEY, 'second', 0);
    },
    'taken by force': (session: StoreSession) => session.forceRelease(KEY, 'second'),
  };

  test.each(Object.entries(taken))('is not taken once more after it was %s', async (how, take) => {
    const store = new RedisSemaphoreStore({ redis: server.url, keyPrefix: uniquePrefix() });
    const [one, other] = [connect(store, []), connect(store, [])];
    // While others hold, the semaphore has more to remember than its limit.
    for (const id of ['beside', 'first']) await one.acquire({ ...request(id), permits: 2 });
    expect(await other.acquire({ ...request('second'), permits: 2 })).toEqual({
      status: 'waiting',
    });
    await server.admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    const [, answer] = await Promise.all([one.release(KEY, 'first', 0), take(one)]);
    expect(answer).toBe(how === 'taken by force' ? true : 'released');
    await delay(ASKING_MS + 200);
    const { holders, waiters } = await one.inspect(KEY);
    const kept = how === 'released and kept' ? ['beside', 'second'] : ['beside'];
    expect(holders.map(({ id }) => id).toSorted()).toEqual(kept);
    expect(waiters).toEqual([]);
    await Promise.all([one.close(), other.close()]);
  });
});

test('a holder whose permit was taken by force hears of it although its process missed the message', async () => {
  await using semaphores = new Semaphores({ redis: server.url });
  const [owner, other] = [semaphores.open(), semaphores.open()];
  const held = await other.acquire(KEY, { leaseMs: Infinity });
  await server.admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  expect(await owner.forceRelease(KEY, held.id)).toBe(true);
  await pollUntil('it has heard', () => Promise.resolve(held.signal.aborted), 5000);
  expect(await held.release()).toBe('expired');
});

test('a waiter that was dropped by force before the reply to its acquire arrived stays dropped', async () => {
  await using gate = await ReplyGate.start(server.port);
  await using semaphores = new Semaphores({ redis: server.url });
  const [holder, late] = [semaphores.open(), semaphores.open({ redis: gate.url })];
  const held = await holder.acquire(KEY, { leaseMs: 60_000 });
  await (await late.acquire('other')).release();
  gate.shut();
  const outcome = rejection(late.acquire(KEY, { waitMs: 60_000, leaseMs: Infinity }));
  await pollUntil('it waits', async () => (await waiterIds(holder)).length === 1);
  const [id] = (await waiterIds(holder)) as [string];
  expect(await holder.forceRelease(KEY, id)).toBe(true);
  expect(await outcome).toMatchObject({ code: 'SEMAPHORE_PERMIT_LOST', reason: 'forced' });
  gate.open();
  await held.release();
  await delay(ASKING_MS + 500);
  expect(await holder.inspect(KEY)).toMatchObject({ holders: [], waiters: [] });
});

function connect(store: RedisSemaphoreStore, grants: Grant[]): StoreSession {
  const ignore = (): void => undefined;
  const client: StoreClient = {
    granted: (_key, _id, grant) => void grants.push(grant),
    failed: ignore,
    revoked: ignore,
    permitsChanged: ignore,
    down: ignore,
    up: ignore,
  };
  return store.connect(client);
}

function request(id: string): AcquireRequest {
  return {
    key: KEY,
    id,
    permits: 1,
    weight: 1,
    priority: 0,
    leaseMs: Infinity,
    wait: true,
    maxWaiting: Infinity,
  };
}
