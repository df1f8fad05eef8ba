import { describe, expect, test } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { ALL_IS_WELL, Crew, KEY } from '../support/faults/crew.js';
import type { FaultWorker } from '../support/faults/fault-worker.js';
import { TcpProxy } from '../support/faults/tcp-proxy.js';
import { pollUntil, withRedis } from '../support/redis-admin.js';
import { startRedis } from '../support/redis-server.js';

const STORE_TIMEOUT_MS = 1000;
const REFUSALS = ['SEMAPHORE_STORE_UNAVAILABLE'];
const LOAD = { options: { permits: 2, leaseMs: 1500 } };

function startCrew(url: string): Promise<Crew> {
  return Crew.start({ service: { redis: url, storeTimeoutMs: STORE_TIMEOUT_MS } });
}

describe('the limit holds and nothing is left behind under CLIENT KILL in a loop', () => {
  test.each([
    ["of the commands' connections", 'normal'],
    ['of the subscribers', 'pubsub'],
  ])('%s', async (_, type) => {
    await using redis = await startRedis();
    await using crew = await startCrew(redis.url);
    await crew.contend(LOAD);
    await crew.progress();
    await withRedis(redis.port, async (admin) => {
      for (let round = 0; round < 30; round++) {
        await admin.call('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes');
        await delay(Math.random() * 100);
      }
    });
    await crew.progress();
    const outcome = await crew.settle({ ports: [redis.port], refusals: REFUSALS });
    expect(outcome).toEqual(ALL_IS_WELL);
  });
});

describe('the limit holds and nothing is left behind over a network that', () => {
  async function contendThrough(
    breakIt: (proxy: TcpProxy, crew: Crew) => Promise<void>,
  ): Promise<unknown> {
    await using redis = await startRedis();
    await using proxy = await TcpProxy.start(redis.port);
    await using crew = await startCrew(proxy.url);
    await crew.contend(LOAD);
    await crew.progress();
    await breakIt(proxy, crew);
    proxy.heal();
    await crew.progress();
    return await crew.settle({ ports: [redis.port], refusals: REFUSALS });
  }

  test('delays all that it carries by 100 ms', async () => {
    const outcome = await contendThrough(async (proxy, crew) => {
      proxy.fault = { delayMs: 100 };
      await crew.progress(15);
    });
    expect(outcome).toEqual(ALL_IS_WELL);
  });

  test('delays for longer than a lease lasts', async () => {
    const outcome = await contendThrough(async (proxy) => {
      proxy.fault = { delayMs: 2500 };
      await delay(6000);
    });
    expect(outcome).toEqual(ALL_IS_WELL);
  });

  test('cuts all connections again and again', async () => {
    const outcome = await contendThrough(async (proxy) => {
      for (let round = 0; round < 30; round++) {
        proxy.cut();
        await delay(Math.random() * 100);
      }
    });
    expect(outcome).toEqual(ALL_IS_WELL);
  });

  test('drops replies only: no call takes effect twice, no permit is left behind', async () => {
    const outcome = await contendThrough(async (proxy) => {
      for (let round = 0; round < 5; round++) {
        proxy.fault = { dropReplies: true };
        await delay(Math.random() * 300);
        proxy.heal();
        await delay(200);
      }
      proxy.fault = { dropReplies: true };
      await delay(2 * STORE_TIMEOUT_MS);
    });
    expect(outcome).toEqual(ALL_IS_WELL);
  });

  test('goes half-open: nothing arrives and nobody is told', async () => {
    const outcome = await contendThrough(async (proxy) => {
      proxy.fault = { isHalfOpen: true };
      await delay(3 * STORE_TIMEOUT_MS);
    });
    expect(outcome).toEqual(ALL_IS_WELL);
  });

  test('separates one process only: its permits go to the others', async () => {
    await using server = await startRedis();
    await using proxy = await TcpProxy.start(server.port);
    await using crew = await startCrew(server.url);
    const separated = await crew.hire({ redis: proxy.url });
    await crew.contend(LOAD);
    await crew.progress();
    const connected = crew.workers.filter((worker) => worker !== separated);
    proxy.fault = { isHalfOpen: true };
    await crew.progress(20, connected);
    await delay(3000);
    await crew.progress(20, connected);
    proxy.heal();
    await crew.progress();
    const outcome = await crew.settle({ ports: [server.port], refusals: REFUSALS });
    expect(outcome).toEqual(ALL_IS_WELL);
  });
});

test('what was acquired without a reply is given back within 5 s of the connection', async () => {
  await using redis = await startRedis();
  await using proxy = await TcpProxy.start(redis.port);
  await using crew = await startCrew(redis.url);
  const [other] = crew.workers as [FaultWorker];
  const separated = await crew.hire({ redis: proxy.url });
  const options = { leaseMs: Infinity, waitMs: 20_000 };
  await separated.call('take', 'before', 'other', {});
  proxy.fault = { dropReplies: true };
  await expect(separated.call('take', 'lost', KEY, options)).rejects.toThrow(/Redis/);
  const { holders } = await other.call('inspect', KEY);
  expect(holders).toHaveLength(1);
  proxy.heal();
  const healedAt = performance.now();
  await pollUntil('the permit is given back', async () => {
    const snapshot = await other.call('inspect', KEY);
    return snapshot.holders.length === 0;
  });
  expect(performance.now() - healedAt).toBeLessThan(5000);
  await separated.call('give', 'before');
  const outcome = await crew.settle({ ports: [redis.port], refusals: REFUSALS });
  expect(outcome).toEqual(ALL_IS_WELL);
});
