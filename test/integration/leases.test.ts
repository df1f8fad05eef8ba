import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { type Permit, PermitLostError, type SemaphoreService } from 'nestjs-semaphore';
import { RedisSemaphoreStore } from '../../lib/store/redis/redis.semaphore-store.js';
import { type Held, Peer } from '../../lib/testing/conformance/peer.js';
import { useRedis } from '../support/redis-server.js';
import { countCommands } from '../support/redis-watch.js';
import { aborted, nextEvent, Semaphores } from '../support/semaphores.js';
import { uniquePrefix } from '../support/unique-prefix.js';
import { Workers } from '../support/workers.js';

const ROUNDS = process.env['SEMAPHORE_LONG'] ? 50 : 5;
const LEASE_MS = 500;
/** A dead waiter, and a grant that nobody claims, may cost this much. */
const DEAD_WAITER_MS = 5_000;

const server = useRedis();

/** Nothing else runs meanwhile: timers, replies and messages have to wait. */
function blockTheEventLoop(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

test('a short lease is kept alive as long as the permit is held', async () => {
  await using semaphores = new Semaphores({ redis: server.url });
  const [owner, other] = [semaphores.open(), semaphores.open()];
  const permit = await owner.acquire('kept', { leaseMs: LEASE_MS });
  await delay(5 * LEASE_MS);
  expect(permit.isHeld).toBe(true);
  expect(permit.signal.aborted).toBe(false);
  expect(await other.tryAcquire('kept')).toBeNull();
  expect(await permit.release()).toBe('released');
});

test('a lease that is not renewed ends, and the next in the queue is granted', async () => {
  await using semaphores = new Semaphores({ redis: server.url });
  const [owner, other] = [semaphores.open(), semaphores.open()];
  const permit = await owner.acquire('short', { leaseMs: 300, renew: false });
  const lost = aborted(permit.signal);
  const next = other.acquire('short');
  expect(await lost).toBeInstanceOf(PermitLostError);
  expect((await next).fencingToken).toBeGreaterThan(permit.fencingToken);
  expect(await permit.release()).toBe('expired');
  expect((await other.inspect('short')).held).toBe(1);
});

test('who comes to wait is told of a lease that is made shorter later in the same call', async () => {
  const keyPrefix = uniquePrefix();
  const peer = new Peer(new RedisSemaphoreStore({ redis: server.url, keyPrefix }));
  const listener = new Redis(server.port);
  const told: string[] = [];
  listener.on('pmessage', (_pattern, _channel, text: string) => told.push(text));
  try {
    await listener.psubscribe(`${keyPrefix}:@*`);
    const { id } = await peer.hold('k');
    await Promise.all([peer.wait('k'), peer.session.renew('k', id, 30_000)]);
    await listener.ping();
    expect(told).toEqual([`?${keyPrefix}:{k}`]);
  } finally {
    listener.disconnect();
    await peer.session.close();
  }
});

test('leases of many that end one after another are looked for together, and none is renewed when it is over', async () => {
  const keyPrefix = uniquePrefix();
  const peer = new Peer(new RedisSemaphoreStore({ redis: server.url, keyPrefix }));
  const wish = { permits: 100 };
  const { session } = peer;
  try {
    const wishes = Array.from({ length: 60 }, (_, i) => ({ ...wish, leaseMs: 200 + 5 * i }));
    const holders = await Promise.all(wishes.map((one) => peer.hold('k', one)));
    const before = await countCommands(server.port);
    const startedAt = (await session.inspect('k')).now;
    let now = startedAt;
    for (const { id, grant } of [holders[0], holders[59]] as Held[]) {
      for (; now < grant.expiresAt; { now } = await session.inspect('k')) {
        await peer.isFree('k', wish);
      }
      expect(await session.renew('k', id, LEASE_MS)).toBeNull();
    }
    const looks = (await countCommands(server.port)).of('hgetall') - before.of('hgetall');
    // Ten a second, and those of the renewals.
    expect(looks).toBeLessThanOrEqual((now - startedAt) / 100 + 4);
    expect((await session.inspect('k')).holders).toEqual([]);
  } finally {
    await session.close();
  }
});

test('maxHoldMs ends the renewals', async () => {
  await using semaphores = new Semaphores({ redis: server.url });
  const service = semaphores.open();
  const permit = await service.acquire('bounded', { leaseMs: 300, maxHoldMs: 600 });
  const start = performance.now();
  await aborted(permit.signal);
  const heldMs = performance.now() - start;
  expect(heldMs).toBeGreaterThan(450);
  expect(heldMs).toBeLessThan(600 + 300 + 250);
});

test(
  "a killed holder's permit is granted again when its lease ends",
  async () => {
    await using semaphores = new Semaphores({ redis: server.url });
    await using workers = new Workers({ redis: server.url, keyPrefix: semaphores.prefix });
    const survivor = semaphores.open();
    const rounds = [];
    for (let round = 0; round < ROUNDS; round++) {
      const worker = await workers.start();
      await worker.call('acquire', 'killed', { leaseMs: LEASE_MS });
      const waiting = nextEvent(survivor, 'waiting');
      const next = survivor.acquire('killed');
      await waiting;
      await worker.kill();
      const killedAt = performance.now();
      const permit = await next;
      rounds.push(performance.now() - killedAt);
      await permit.release();
    }
    expect(Math.max(...rounds)).toBeLessThan(LEASE_MS + 250);
  },
  60_000 + ROUNDS * 10_000,
);

test('a lease without an end outlives its holder, until somebody releases it by force', async () => {
  await using semaphores = new Semaphores({ redis: server.url });
  await using workers = new Workers({ redis: server.url, keyPrefix: semaphores.prefix });
  const survivor = semaphores.open();
  const worker = await workers.start();
  const { id } = await worker.call('acquire', 'endless', { leaseMs: Infinity });
  await worker.kill();
  const waiting = nextEvent(survivor, 'waiting');
  const next = survivor.acquire('endless');
  await waiting;
  await delay(DEAD_WAITER_MS);
  expect(await survivor.inspect('endless')).toMatchObject({
    holders: [{ id, expiresAt: Infinity }],
    waiters: [{}],
  });
  expect(await survivor.forceRelease('endless', id)).toBe(true);
  await (await next).release();
});

test('a thousand permits are kept alive with one script call a third of their lease', async () => {
  await using semaphores = new Semaphores({ redis: server.url });
  const service = semaphores.open();
  const leaseMs = 3_000;
  const permits = await Promise.all(
    Array.from({ length: 1_000 }, (_, i) =>
      service.acquire(`many-${i % 100}`, { permits: 10, leaseMs }),
    ),
  );
  const startedAt = performance.now();
  const before = await countCommands(server.port);
  await delay(2 * leaseMs);
  const after = await countCommands(server.port);
  const rounds = Math.ceil((performance.now() - startedAt) / (leaseMs / 3)) + 1;
  expect(permits.every(({ isHeld }) => isHeld)).toBe(true);
  // A call carries 256 operations; a machine that stands still meanwhile may split a round.
  expect(after.scripts - before.scripts).toBeLessThanOrEqual(rounds * 5);
  await Promise.all(permits.map((permit) => permit.release()));
});

test('a killed waiter, and a grant that nobody takes, block nobody for longer than 5 s', async () => {
  await using semaphores = new Semaphores({ redis: server.url });
  await using workers = new Workers({ redis: server.url, keyPrefix: semaphores.prefix });
  const survivor = semaphores.open();
  const [dead, granted] = [await workers.start(), await workers.start()];
  const holders = [await survivor.acquire('waiter'), await survivor.acquire('grant')];
  await dead.call('enqueue', 'waiter');
  await granted.call('enqueue', 'grant');
  await Promise.all([dead.kill(), granted.kill()]);
  const releasedAt = performance.now();
  // The dead are still in the queue: they become holders now.
  await Promise.all(holders.map((holder) => holder.release()));
  await Promise.all([survivor.acquire('waiter'), survivor.acquire('grant')]);
  expect(performance.now() - releasedAt).toBeLessThan(DEAD_WAITER_MS);
});

test('a stopped process neither blocks others for long nor believes in an old grant', async () => {
  await using semaphores = new Semaphores({ redis: server.url });
  await using workers = new Workers({ redis: server.url, keyPrefix: semaphores.prefix });
  const survivor = semaphores.open();
  const worker = await workers.start();
  const holder = await survivor.acquire('stopped');
  const waiting = worker.call('acquire', 'stopped', { waitMs: Infinity });
  await untilQueued(survivor, 'stopped');
  worker.pause();
  await holder.release();
  const permit = await survivor.acquire('stopped');
  worker.resume();
  expect(await Promise.race([waiting.then(() => 'entered'), delay(500, 'waits')])).toBe('waits');
  await permit.release();
  expect((await waiting).fencingToken).toBeGreaterThan(permit.fencingToken);
});

test('after the event loop was blocked for longer than the lease, the first to run learns of the loss', async () => {
  await using semaphores = new Semaphores({ redis: server.url });
  const service = semaphores.open();
  const permit = await service.acquire('blocked', { leaseMs: 300 });
  const order: string[] = [];
  permit.signal.addEventListener('abort', () => order.push('aborted'));
  const work = delay(50).then(() => order.push(permit.isHeld ? 'works on' : 'stops'));
  blockTheEventLoop(600);
  expect(permit.isHeld).toBe(false);
  expect(permit.remainingMs).toBe(0);
  expect(permit.signal.aborted).toBe(true);
  expect(permit.signal.reason).toBeInstanceOf(PermitLostError);
  await work;
  expect(order).toEqual(['aborted', 'stops']);
  expect(await permit.release()).toBe('expired');
  await expect(permit.renew()).rejects.toBeInstanceOf(PermitLostError);
});

test('no permit of several is worth more than the one that ends first', async () => {
  await using semaphores = new Semaphores({ redis: server.url });
  const [service, other] = [semaphores.open(), semaphores.open()];
  const permit: Permit = await service.acquire(['several-a', 'several-b'], { leaseMs: 60_000 });
  const lost = aborted(permit.signal);
  const { holders } = await other.inspect('several-b');
  await other.forceRelease('several-b', holders[0]?.id ?? '');
  expect(await lost).toMatchObject({ name: 'PermitLostError', key: 'several-b', reason: 'forced' });
  expect(permit.isHeld).toBe(false);
  await permit.release();
  expect((await other.inspect('several-a')).held).toBe(0);
});

async function untilQueued(service: SemaphoreService, key: string): Promise<void> {
  while ((await service.inspect(key)).waiters.length === 0);
}
