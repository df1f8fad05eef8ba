import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { LockServer } from '../support/lock-server.js';
import { startRedis, useRedis } from '../support/redis-server.js';
import { nextEvent, queued, Semaphores } from '../support/semaphores.js';

const redis = useRedis();

const WISH = { requestId: 'r', waitMs: 20_000, leaseMs: 60_000 };

test('a request that waits at two servers gets one permit, at both', async () => {
  await using services = new Semaphores({ redis: redis.url });
  const [one, two] = [services.open(), services.open()];
  await using first = await LockServer.start(one);
  await using second = await LockServer.start(two);
  const held = await one.acquire('k');
  const { outcome: atFirst } = await queued(one, () => first.acquire('k', WISH));
  const { outcome: atSecond } = await queued(two, () => second.acquire('k', WISH));
  await held.release();
  const { body } = await atFirst;
  expect((await atSecond).body).toMatchObject({
    id: body['id'],
    fencingToken: body['fencingToken'],
  });
  expect((await second.release('k', body['id'])).body).toEqual({ outcome: 'released' });
  expect(await one.inspect('k')).toMatchObject({ held: 0, waiters: [] });
});

test('who gives up at one of two servers takes nothing from the other', async () => {
  await using services = new Semaphores({ redis: redis.url });
  const [one, two] = [services.open(), services.open()];
  await using first = await LockServer.start(one);
  await using second = await LockServer.start(two);
  for (let round = 0; round < 20; round++) {
    const key = `k${round}`;
    const held = await one.acquire(key);
    const controller = new AbortController();
    const { outcome: atFirst } = await queued(one, () => first.acquire(key, WISH));
    const { outcome: atSecond } = await queued(two, () =>
      second.acquire(key, WISH, { signal: controller.signal }),
    );
    const hasLeft = Promise.race([nextEvent(two, 'rejected'), nextEvent(two, 'acquired')]);
    await held.release();
    const { body } = await atFirst;
    controller.abort();
    await Promise.allSettled([atSecond, hasLeft]);
    const { holders, waiters } = await two.inspect(key);
    expect({ holders, waiters }).toMatchObject({ holders: [{ id: body['id'] }], waiters: [] });
  }
});

/** Asks although the store does not answer, and hangs up when that has been sent to it. */
async function askAndLeave(server: LockServer, key: string): Promise<void> {
  const controller = new AbortController();
  const arrived = once(server.http, 'request');
  const call = server.acquire(key, WISH, { signal: controller.signal });
  const [, response] = (await arrived) as [unknown, ServerResponse];
  await sleep(50);
  const isClosed = once(response, 'close');
  controller.abort();
  await expect(call).rejects.toThrow();
  await isClosed;
}

test.each(['before', 'after'])(
  'what a server answers stays, though another, asked %s it, has nobody to answer any more',
  async (order) => {
    await using paused = await startRedis();
    await using services = new Semaphores({ redis: paused.url });
    const [one, two] = [services.open(), services.open()];
    await using first = await LockServer.start(one);
    await using second = await LockServer.start(two);
    await Promise.all([first.acquire('one'), second.acquire('two')]);
    const granted = [nextEvent(one, 'acquired'), nextEvent(two, 'acquired')];
    paused.pause();
    if (order === 'before') await askAndLeave(first, 'k');
    const arrived = once(second.http, 'request');
    const call = second.acquire('k', WISH);
    await arrived;
    await sleep(50);
    if (order === 'after') await askAndLeave(first, 'k');
    paused.resume();
    const { body } = await call;
    await Promise.all(granted);
    // What the first one does to it would be on its way.
    await one.inspect('k');
    expect((await two.inspect('k')).holders).toMatchObject([{ id: body['id'] }]);
  },
);

test('a permit of a requestId that nobody waits for any more is released at once', async () => {
  await using paused = await startRedis();
  await using services = new Semaphores({ redis: paused.url });
  const semaphores = services.open();
  await using server = await LockServer.start(semaphores);
  await server.acquire('connected');
  const isReleased = nextEvent(semaphores, 'released');
  paused.pause();
  await askAndLeave(server, 'k');
  paused.resume();
  await isReleased;
  expect((await semaphores.inspect('k')).held).toBe(0);
});

test('a caller that gave up its call of /lock gets the locks when it asks again', async () => {
  await using paused = await startRedis();
  await using services = new Semaphores({ redis: paused.url });
  const semaphores = services.open();
  await using server = await LockServer.start(semaphores);
  await server.call('POST', '/lock', { uid: 'u', keys: 'connected' });
  for (const keys of [['a'], ['b', 'c', 'd']]) {
    const wish = { uid: 'u', keys, exp: 60_000 };
    const controller = new AbortController();
    const arrived = once(server.http, 'request');
    paused.pause();
    const first = server.call('POST', '/lock', wish, { signal: controller.signal });
    const [, response] = (await arrived) as [unknown, ServerResponse];
    const isClosed = once(response, 'close');
    controller.abort();
    await expect(first).rejects.toThrow();
    await isClosed;
    const askedAgain = once(server.http, 'request');
    const second = server.call('POST', '/lock', wish);
    await askedAgain;
    paused.resume();
    expect((await second).status).toBe(200);
    for (const key of keys) expect((await semaphores.inspect(key)).held).toBe(1);
  }
});

test('a uid that gives up at one of two servers gets all its locks at the other', async () => {
  await using services = new Semaphores({ redis: redis.url });
  await using first = await LockServer.start(services.open());
  await using second = await LockServer.start(services.open());
  for (let round = 0; round < 24; round++) {
    const keys = ['a', 'b', 'c'].map((name) => `${name}${round}`);
    const wish = { uid: 'u', keys, exp: 60_000 };
    const controller = new AbortController();
    const call = first.call('POST', '/lock', wish, { signal: controller.signal });
    const outcome = Promise.allSettled([call]);
    await sleep(round % 4);
    const atSecond = second.call('POST', '/lock', wish);
    await sleep(round % 3);
    controller.abort();
    const [{ status, body }] = await Promise.all([atSecond, outcome]);
    expect(status).toBe(200);
    const unlocked = await second.call('POST', '/unlock', { uid: 'u', tokens: body['tokens'] });
    expect(unlocked.body).toEqual({ unlocked: keys });
  }
});

test('a requestId that was given up twice while the store was slow can be asked for again', async () => {
  await using paused = await startRedis();
  await using services = new Semaphores({ redis: paused.url });
  const semaphores = services.open();
  await using server = await LockServer.start(semaphores);
  await server.acquire('connected');
  paused.pause();
  for (let i = 0; i < 2; i++) await askAndLeave(server, 'k');
  const last = server.acquire('k', WISH);
  await sleep(50);
  paused.resume();
  const { status, body } = await last;
  expect(status).toBe(201);
  expect((await semaphores.inspect('k')).holders).toMatchObject([{ id: body['id'] }]);
});
