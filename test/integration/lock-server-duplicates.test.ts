import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { LockServer } from '../support/lock-server.js';
import { type RedisServer, startRedis } from '../support/redis-server.js';
import { nextEvent, queued, Semaphores } from '../support/semaphores.js';

let redis: RedisServer;

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(() => redis.stop());

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
