import { once } from 'node:events';
import { createServer } from 'node:http';
import * as http2 from 'node:http2';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, jest, test } from '@jest/globals';
import express from 'express';
import { createSemaphoreServer } from 'nestjs-semaphore/server';
import { ADMIN_KEY, LockServer } from '../support/lock-server.js';
import { pollUntil } from '../support/redis-admin.js';
import { useRedis } from '../support/redis-server.js';
import { nextEvent, Semaphores } from '../support/semaphores.js';

const redis = useRedis();

function requestFor(key: string, body: object): string {
  return requestTo(`/v1/semaphores/${key}/permits`, body);
}

function requestTo(path: string, body: object): string {
  const text = JSON.stringify(body);
  const headers = [
    'host: localhost',
    `x-api-key: ${ADMIN_KEY}`,
    'content-type: application/json',
    `content-length: ${text.length}`,
  ].join('\r\n');
  return `POST ${path} HTTP/1.1\r\n${headers}\r\n\r\n${text}`;
}

/** A bare connection, and what has come on it. */
function listen(server: LockServer): { socket: Socket; heard: () => string } {
  const { port } = server.http.address() as AddressInfo;
  const socket = connect(port, '127.0.0.1');
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  return { socket, heard: () => text };
}

describe('requests that are pipelined on one connection', () => {
  test('leave nothing behind when it breaks', async () => {
    await using services = new Semaphores({ redis: redis.url });
    const semaphores = services.open();
    await using server = await LockServer.start(semaphores, { maxOpenWaits: 3 });
    const held = await semaphores.acquire('taken');
    const { port } = server.http.address() as AddressInfo;
    const socket = connect(port, '127.0.0.1');
    const isQueued = nextEvent(semaphores, 'waiting');
    socket.write(
      requestFor('taken', { waitMs: null }) +
        requestFor('free', { leaseMs: null }) +
        requestFor('taken', { waitMs: null, leaseMs: null }),
    );
    await isQueued;
    socket.destroy();
    await pollUntil('nobody waits', async () => {
      const { waiters } = await semaphores.inspect('taken');
      return waiters.length === 0;
    });
    expect(await semaphores.inspect('free')).toMatchObject({ held: 0 });
    await held.release();
    expect(await semaphores.inspect('taken')).toMatchObject({ held: 0 });
    const all = await Promise.all(['a', 'b', 'c'].map((key) => server.acquire(key)));
    expect(all.map(({ status }) => status)).toEqual([201, 201, 201]);
  });

  test('are answered one after the other', async () => {
    await using services = new Semaphores({});
    await using server = await LockServer.start(services.open());
    const { socket, heard } = listen(server);
    socket.write(['a', 'b', 'c'].map((key) => requestFor(key, {})).join(''));
    await pollUntil('three answers', async () => heard().split('HTTP/1.1 201').length === 4);
    expect(heard().match(/"key":"."/g)).toEqual(['"key":"a"', '"key":"b"', '"key":"c"']);
    socket.destroy();
  });

  test('are a hundred at most behind one that is open', async () => {
    await using services = new Semaphores({});
    await using server = await LockServer.start(services.open());
    const { port } = server.http.address() as AddressInfo;
    const get = (path: string) =>
      `GET ${path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: ${ADMIN_KEY}\r\n\r\n`;
    const socket = connect(port, '127.0.0.1').resume();
    socket.on('error', () => undefined);
    socket.write(get('/v1/events') + get('/health').repeat(100));
    await once(socket, 'data');
    expect((await server.call('GET', '/health')).status).toBe(200);
    expect(socket.readyState).toBe('open');
    const isBroken = once(socket, 'close');
    socket.write(get('/health'));
    await isBroken;
  });

  test('are more than a hundred one after another', async () => {
    await using services = new Semaphores({});
    await using server = await LockServer.start(services.open());
    const { socket, heard } = listen(server);
    for (let round = 1; round <= 3; round++) {
      socket.write(requestFor('k', { permits: 300 }).repeat(90));
      await pollUntil('all are answered', async () => {
        return heard().split('HTTP/1.1 201').length === 90 * round + 1;
      });
    }
    socket.destroy();
  });
});

test('a request whose client is gone when it reaches the server takes nothing', async () => {
  await using services = new Semaphores({});
  const semaphores = services.open();
  const server = createSemaphoreServer({ semaphores, apiKeys: [ADMIN_KEY] });
  const app = express();
  app.use(express.json());
  app.use((_request, response, next) => {
    // As middleware does that waits for something.
    response.once('close', () => next());
  });
  const isServed = new Promise<void>((resolve) => {
    app.use((request, response, next) => {
      server.handler(request, response, next);
      resolve();
    });
  });
  const http = app.listen(0);
  await once(http, 'listening');
  const { port } = http.address() as AddressInfo;
  const socket = connect(port, '127.0.0.1');
  socket.write(requestFor('k', { leaseMs: null }));
  await once(http, 'request');
  socket.destroy();
  await isServed;
  try {
    expect(await semaphores.tryAcquire('k')).not.toBeNull();
  } finally {
    await server.close();
    http.close();
  }
});

test('what is locked is free again when its answer never gets through to the network', async () => {
  await using services = new Semaphores({});
  const semaphores = services.open();
  const http = createServer(createSemaphoreServer({ semaphores, apiKeys: [ADMIN_KEY] }).handler);
  let hasAnswered: () => void;
  const isAnswered = new Promise<void>((resolve) => (hasAnswered = resolve));
  const connection = new Duplex({ read: () => undefined, write: () => hasAnswered() });
  http.emit('connection', connection);
  connection.push(requestTo('/lock', { uid: 'u', keys: ['a'], exp: 60_000 }));
  await isAnswered;
  expect(await semaphores.inspect('a')).toMatchObject({ held: 1 });
  connection.destroy();
  await pollUntil('it is free', async () => (await semaphores.inspect('a')).held === 0);
});

test('a place that is kept for the next request counts as an open one', async () => {
  await using services = new Semaphores({});
  const semaphores = services.open();
  await using server = await LockServer.start(semaphores, { maxOpenWaits: 2 });
  const held = await semaphores.acquire('k');
  const ask = async (requestId: string, wait: number): Promise<number> => {
    const headers = { prefer: `wait=${wait}` };
    return (await server.acquire('k', { requestId, waitMs: null }, { headers })).status;
  };
  expect([await ask('1', 0), await ask('2', 0), await ask('3', 0)]).toEqual([202, 202, 429]);
  expect([await ask('1', 0), await ask('2', 0), await ask('3', 0)]).toEqual([202, 202, 429]);
  const granted = ask('1', 20);
  await held.release();
  expect(await granted).toBe(201);
  expect(await ask('3', 0)).toBe(202);
});

test('a place is kept for as long as any request waits for it', async () => {
  await using services = new Semaphores({});
  const semaphores = services.open();
  const waitGraceMs = 200;
  await using server = await LockServer.start(semaphores, { waitGraceMs });
  const held = await semaphores.acquire('k');
  const ask = (wait: number) =>
    server.acquire('k', { requestId: 'r', waitMs: null }, { headers: { prefer: `wait=${wait}` } });
  expect((await ask(0)).status).toBe(202);
  const granted = ask(20);
  expect((await ask(0)).status).toBe(202);
  await sleep(waitGraceMs + 100);
  await held.release();
  expect((await granted).status).toBe(201);
});

test('who asks again after its time to wait is over, waits anew', async () => {
  await using services = new Semaphores({});
  const semaphores = services.open();
  await using server = await LockServer.start(semaphores, { maxOpenWaits: 1 });
  const held = await semaphores.acquire('k');
  const isOver = nextEvent(semaphores, 'rejected');
  const wish = { requestId: 'r', waitMs: 50 };
  const early = await server.acquire('k', wish, { headers: { prefer: 'wait=0' } });
  expect(early.status).toBe(202);
  await isOver;
  await held.release();
  expect((await server.acquire('another')).status).toBe(201);
  expect((await server.acquire('k', wish)).status).toBe(201);
});

test('HEAD opens no stream', async () => {
  await using services = new Semaphores({});
  await using server = await LockServer.start(services.open());
  const answers = await Promise.all(
    ['/v1/sessions', '/v1/events', '/v1/store', '/health'].map(async (path) => {
      const { status, headers } = await fetch(server.url + path, { method: 'HEAD' });
      return [path, status, headers.get('allow')];
    }),
  );
  expect(answers).toEqual([
    ['/v1/sessions', 405, 'GET'],
    ['/v1/events', 405, 'GET'],
    ['/v1/store', 405, 'GET, POST, DELETE'],
    ['/health', 200, null],
  ]);
});

test('over HTTP/2 bodies are read, HEAD is answered, and who hangs up leaves the queue', async () => {
  await using services = new Semaphores({});
  const semaphores = services.open();
  const server = createSemaphoreServer({ semaphores, apiKeys: [ADMIN_KEY] });
  const http = http2.createServer((request, response) =>
    server.handler(request as never, response as never),
  );
  await once(http.listen(0), 'listening');
  const client = http2.connect(`http://localhost:${(http.address() as AddressInfo).port}`);
  const post = (path: string, body: object): http2.ClientHttp2Stream => {
    const stream = client.request({ ':method': 'POST', ':path': path, 'x-api-key': ADMIN_KEY });
    stream.setEncoding('utf8').end(JSON.stringify(body));
    return stream;
  };
  const answerTo = async (stream: http2.ClientHttp2Stream): Promise<unknown> => {
    let text = '';
    for await (const chunk of stream) text += chunk as string;
    return JSON.parse(text);
  };
  try {
    const path = '/v1/semaphores/k/permits';
    expect(await answerTo(post(path, { leaseMs: null }))).toMatchObject({ leaseMs: null });
    const isQueued = nextEvent(semaphores, 'waiting');
    const waiting = post(path, { waitMs: null });
    await isQueued;
    const hasLeft = nextEvent(semaphores, 'rejected');
    waiting.close(http2.constants.NGHTTP2_CANCEL);
    await hasLeft;
    expect(await semaphores.inspect('k')).toMatchObject({ held: 1, waiters: [] });
    expect(await answerTo(post('/lock', { uid: 'u', keys: ['a', 'b'] }))).toMatchObject({
      tokens: [{ key: 'a' }, { key: 'b' }],
    });
    for (const asked of ['/health', '/v1/semaphores/k', '/v1/semaphores']) {
      const headers = { ':method': 'HEAD', ':path': asked, 'x-api-key': ADMIN_KEY };
      const [answer] = await once(client.request(headers).resume(), 'response');
      expect(answer[':status']).toBe(200);
    }
  } finally {
    client.close();
    await server.close();
    http.close();
  }
});

test('who asks for the health often asks the store once', async () => {
  await using services = new Semaphores({});
  const semaphores = services.open();
  await using server = await LockServer.start(semaphores);
  const looks = jest.spyOn(semaphores, 'health');
  for (let i = 0; i < 3; i++) expect((await server.call('GET', '/health')).status).toBe(200);
  expect(looks.mock.calls.length).toBeLessThan(3);
});

test('an event is in memory once, however many do not read their streams, and nothing once they are gone', async () => {
  await using services = new Semaphores({});
  const semaphores = services.open();
  await using server = await LockServer.start(semaphores);
  const subscribed = jest.spyOn(semaphores.events, 'subscribe');
  const streams = await Promise.all([1, 2, 3].map(() => server.stream('/v1/events')));
  const written = jest.spyOn(JSON, 'stringify');
  await semaphores.acquire('k');
  const told = await Promise.all(streams.map((stream) => stream.until('acquired')));
  const texts = written.mock.calls.filter(([value]) => value?.type === 'acquired');
  written.mockRestore();
  for (const stream of streams) stream.close();
  await pollUntil('nothing is left of them', async () =>
    subscribed.mock.results.every(({ value }) => (value as { closed: boolean }).closed),
  );
  expect(told).toEqual(told.map(() => expect.objectContaining({ key: 'k' })));
  expect(texts).toHaveLength(1);
});
