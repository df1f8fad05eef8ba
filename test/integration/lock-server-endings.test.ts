import { once } from 'node:events';
import { type ClientRequest, request as httpRequest } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { MemorySemaphoreStore, type SemaphoreService } from 'nestjs-semaphore';
import { LockServerProcess } from '../support/lock-server-process.js';
import { ADMIN_KEY, type LockClient, LockServer } from '../support/lock-server.js';
import { pollUntil } from '../support/redis-admin.js';
import { useRedis } from '../support/redis-server.js';
import { nextEvent, Semaphores } from '../support/semaphores.js';
import { uniquePrefix } from '../support/unique-prefix.js';

const ROUNDS = 10;
const GRACE_MS = 1000;
/** Longer than any lease that a killed server leaves behind. */
const LEASES_MS = 5500;

const redis = useRedis();

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

/** A connection of its own, which a test breaks in the very turn in which it has sent something. */
class RawClient {
  private constructor(readonly socket: Socket) {}

  static async connect({ http }: LockServer): Promise<RawClient> {
    const socket = connect((http.address() as AddressInfo).port, '127.0.0.1');
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  send(method: string, path: string, body?: object): void {
    const text = body === undefined ? '' : JSON.stringify(body);
    const headers = [
      'host: localhost',
      `x-api-key: ${ADMIN_KEY}`,
      'content-type: application/json',
      `content-length: ${text.length}`,
    ].join('\r\n');
    this.socket.write(`${method} ${path} HTTP/1.1\r\n${headers}\r\n\r\n${text}`);
  }
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

describe('a permit of who hangs up', () => {
  const lost = { leaseMs: 600_000, waitMs: null };
  const waiters = async (semaphores: SemaphoreService, key: string): Promise<number> =>
    (await semaphores.inspect(key)).waiters.length;

  test('right behind the release that grants it, goes on to the next', async () => {
    await using services = new Semaphores({});
    const semaphores = services.open();
    await using server = await LockServer.start(semaphores);
    const releases = await RawClient.connect(server);
    for (let round = 0; round < ROUNDS; round++) {
      const held = await server.acquire('k', lost);
      const leaves = await RawClient.connect(server);
      leaves.send('POST', '/v1/semaphores/k/permits', lost);
      await pollUntil('one waits', async () => (await waiters(semaphores, 'k')) === 1);
      const next = server.acquire('k', lost);
      await pollUntil('two wait', async () => (await waiters(semaphores, 'k')) === 2);
      // Both lie in their connections when the server reads the first.
      releases.send('DELETE', `/v1/semaphores/k/permits/${String(held.body['id'])}`);
      leaves.socket.destroy();
      await server.release('k', (await next).body['id']);
    }
    expect(await semaphores.inspect('k')).toMatchObject({ held: 0, waiters: [] });
    releases.socket.destroy();
  });

  test.each([
    ['/v1/semaphores/k/permits', lost],
    ['/lock', { uid: 'u', keys: 'k', exp: 600_000 }],
  ])('with its request, is free at once: POST %s', async (path, body) => {
    await using services = new Semaphores({});
    const semaphores = services.open();
    await using server = await LockServer.start(semaphores);
    for (let round = 0; round < ROUNDS; round++) {
      const leaves = await RawClient.connect(server);
      const granted = nextEvent(semaphores, 'acquired');
      leaves.send('POST', path, body);
      leaves.socket.destroy();
      await granted;
      await pollUntil('it is free', async () => (await semaphores.inspect('k')).held === 0);
    }
  });

  test('after its answer, stays held', async () => {
    await using services = new Semaphores({});
    const semaphores = services.open();
    await using server = await LockServer.start(semaphores);
    for (let round = 0; round < ROUNDS; round++) {
      const client = await RawClient.connect(server);
      const answered = once(client.socket, 'data');
      client.send('POST', `/v1/semaphores/k/permits`, { permits: ROUNDS, ...lost });
      await answered;
      if (round % 2 === 0) client.socket.destroy();
      else client.socket.resetAndDestroy();
    }
    await pollUntil('all are gone', async () => {
      server.http.closeIdleConnections();
      const count = await promisify(server.http.getConnections.bind(server.http))();
      return count === 0;
    });
    expect(await semaphores.inspect('k')).toMatchObject({ held: ROUNDS });
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
    if (path === '/v1/sessions') expect(text).toMatch(/^retry: \d+\nevent: session\ndata: /);
  }
});
