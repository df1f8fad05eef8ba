import { once } from 'node:events';
import { type ClientRequest, request as httpRequest } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { MemorySemaphoreStore } from 'nestjs-semaphore';
import { LockServerProcess } from '../support/lock-server-process.js';
import { ADMIN_KEY, type LockClient, LockServer } from '../support/lock-server.js';
import { pollUntil } from '../support/redis-admin.js';
import { type RedisServer, startRedis } from '../support/redis-server.js';
import { Semaphores } from '../support/semaphores.js';
import { uniquePrefix } from '../support/unique-prefix.js';

const ROUNDS = 10;
const GRACE_MS = 1000;
/** Longer than any lease that a killed server leaves behind. */
const LEASES_MS = 5500;

let redis: RedisServer;

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const stores = [
  { store: 'memory', options: () => ({ store: new MemorySemaphoreStore() }) },
  { store: 'Redis', options: () => ({ redis: redis.url }) },
];

/** A request for a permit, over a connection of its own that a test may break at any moment. */
function ask(client: LockClient, key: string): ClientRequest {
  const headers = { 'x-api-key': ADMIN_KEY, 'content-type': 'application/json' };
  const path = `${client.url}/v1/semaphores/${key}/permits`;
  const request = httpRequest(path, { method: 'POST', agent: false, headers });
  request.on('error', () => undefined);
  request.end(JSON.stringify({ waitMs: null, leaseMs: 600_000 }));
  return request;
}

describe.each(stores)('on $store', ({ options }) => {
  test('a permit that is granted to who has just hung up goes on to the next', async () => {
    await using services = new Semaphores(options());
    const semaphores = services.open();
    await using server = await LockServer.start(semaphores);
    const waiting = async (count: number) =>
      pollUntil('they wait', async () => {
        return (await semaphores.inspect('k')).waiters.length === count;
      });
    for (let round = 0; round < ROUNDS; round++) {
      const held = await server.acquire('k', { leaseMs: 600_000 });
      const leaves = ask(server, 'k');
      await waiting(1);
      const next = ask(server, 'k');
      const answered = once(next, 'response');
      await waiting(2);
      // The server learns of both at the same time.
      leaves.destroy();
      await server.release('k', held.body['id']);
      const [response] = await answered;
      let text = '';
      for await (const chunk of response) text += String(chunk);
      expect(response.statusCode).toBe(201);
      await server.release('k', (JSON.parse(text) as { id: string }).id);
    }
    expect(await semaphores.inspect('k')).toMatchObject({ held: 0, waiters: [] });
  });
});

test('a session goes on at another server when its own is killed, and ends there with its stream', async () => {
  const store = { redis: redis.url, keyPrefix: uniquePrefix('resumed') };
  const options = { sessionGraceMs: GRACE_MS };
  await using one = await LockServerProcess.start(store, options);
  await using two = await LockServerProcess.start(store, options);
  const stream = await one.stream('/v1/sessions');
  const headers = { 'x-session-id': String((await stream.until('session'))['id']) };
  const { body } = await one.acquire('k', {}, { headers });
  await one.kill();
  const resumed = await two.stream('/v1/sessions', headers);
  expect((await resumed.until('session'))['id']).toBe(headers['x-session-id']);
  await sleep(LEASES_MS);
  expect((await two.inspect('k')).body['holders']).toMatchObject([{ id: body['id'] }]);
  const waiting = two.acquire('k', { waitMs: 20_000 });
  const closedAt = performance.now();
  resumed.close();
  expect((await waiting).status).toBe(201);
  expect(performance.now() - closedAt).toBeLessThan(GRACE_MS + 1000);
});

test('a stream on which nothing happens is heard of by every proxy on its way', async () => {
  await using services = new Semaphores({});
  await using server = await LockServer.start(services.open(), { heartbeatMs: 20 });
  for (const path of ['/v1/sessions', '/v1/events']) {
    const controller = new AbortController();
    const { signal } = controller;
    const response = await fetch(server.url + path, {
      signal,
      headers: { 'x-api-key': ADMIN_KEY },
    });
    expect(response.headers.get('x-accel-buffering')).toBe('no');
    let text = '';
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      text += new TextDecoder().decode(chunk);
      if (text.split('\n').filter((line) => line === ':').length > 2) break;
    }
    controller.abort();
  }
});
