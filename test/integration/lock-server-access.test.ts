import { randomBytes } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { once } from 'node:events';
import { networkInterfaces } from 'node:os';
import { describe, expect, test } from '@jest/globals';
import { InvalidOptionsError } from 'nestjs-semaphore';
import { ApiKeys } from '../../lib/server/api-keys.js';
import { createSemaphoreServer, parseApiKeys, type ApiKeyOptions } from 'nestjs-semaphore/server';
import { ADMIN_KEY, LockServer } from '../support/lock-server.js';
import { pollUntil } from '../support/redis-admin.js';
import { useRedis } from '../support/redis-server.js';
import { countCommands } from '../support/redis-watch.js';
import { nextEvent, Semaphores, thrown } from '../support/semaphores.js';

const A: ApiKeyOptions = { key: 'tenant-a-0123456789', prefixes: ['a:'], name: 'a' };
const B: ApiKeyOptions = { key: 'tenant-b-0123456789', prefixes: ['b:'], role: 'use' };

test.each([
  ['short', ['too-short']],
  ['empty', ['']],
  ['missing', [undefined]],
  ['with a space', ['with a space 0123456789']],
  ['twice', [ADMIN_KEY, ADMIN_KEY]],
  ['of an unknown role', [{ key: ADMIN_KEY, role: 'root' }]],
  ['with no prefixes', [{ key: ADMIN_KEY, prefixes: [] }]],
  ['with an empty prefix', [{ key: ADMIN_KEY, prefixes: ['a:', ''] }]],
  ['with an empty name', [{ key: ADMIN_KEY, name: '' }]],
  ['with an unknown option', [{ key: ADMIN_KEY, prefix: 'a:' }]],
  ['not in an array', ADMIN_KEY],
])('an API key that is %s is refused at the start, and not shown', async (_, apiKeys) => {
  await using services = new Semaphores({});
  const semaphores = services.open();
  // What configuration files may hold.
  const options = { semaphores, apiKeys: apiKeys as string[] };
  const error = thrown(() => createSemaphoreServer(options));
  expect(error).toBeInstanceOf(InvalidOptionsError);
  for (const given of [apiKeys].flat() as (string | { key: string } | undefined)[]) {
    const key = typeof given === 'object' ? given.key : (given ?? '');
    if (key.length >= 9) expect(JSON.stringify([String(error), error])).not.toContain(key);
  }
});

test('API keys come out of texts', () => {
  expect(parseApiKeys(' one,two \n\nthree\r\n')).toEqual(['one', 'two', 'three']);
  expect(parseApiKeys(undefined)).toEqual([]);
});

test('a request needs a valid key, in either header', async () => {
  await using services = new Semaphores({});
  await using server = await LockServer.start(services.open(), { apiKeys: [ADMIN_KEY, A, B] });
  const none = server.with('');
  const wrong: Record<string, string>[] = [
    {},
    { 'x-api-key': 'x' },
    { authorization: `Basic ${ADMIN_KEY}` },
  ];
  for (const headers of wrong) {
    const { status, body } = await none.call('GET', '/v1/semaphores', undefined, { headers });
    expect([status, body['code']]).toEqual([401, 'UNAUTHORIZED']);
  }
  const bearer = { headers: { authorization: `Bearer ${B.key}` } };
  expect((await none.acquire('b:k', {}, bearer)).status).toBe(201);
  expect((await none.call('GET', '/health')).body).toEqual({ status: 'ok' });
  expect((await none.call('GET', '/openapi.json')).status).toBe(200);
});

test('a key of one prefix neither sees nor touches semaphores of another', async () => {
  await using services = new Semaphores({});
  await using server = await LockServer.start(services.open(), { apiKeys: [ADMIN_KEY, A, B] });
  const [a, b] = [server.with(A.key), server.with(B.key)];
  const held = await a.acquire('a:k');
  const id = held.body['id'];
  const refused = await Promise.all([
    b.acquire('a:k'),
    b.acquire('other'),
    b.renew('a:k', id, 1000),
    b.release('a:k', id),
    b.release('a:k', id, '?force=true'),
    b.inspect('a:k'),
    b.call('PUT', '/v1/semaphores/a:k', { permits: 5 }),
    b.call('PUT', '/v1/semaphores/b:k', { permits: 5 }),
    b.call('POST', '/lock', { uid: 'u', keys: ['b:1', 'a:k'] }),
    b.call('POST', '/unlock', { uid: 'u', tokens: [{ key: 'a:k', version: 1 }] }),
    b.call('POST', '/check', { keys: ['b:1', 'a:k'] }),
    server.inspect('nestjs-semaphore.server:health'),
  ]);
  expect(refused.map(({ status }) => status)).toEqual(refused.map(() => 403));
  expect((await b.call('GET', '/v1/semaphores')).body).toEqual({ keys: [] });
  expect((await b.call('GET', '/v1/semaphores?pattern=a:*')).body).toEqual({ keys: [] });
  expect((await a.call('GET', '/v1/semaphores')).body).toEqual({ keys: ['a:k'] });
  expect((await a.inspect('a:k')).body['holders']).toMatchObject([{ id }]);
  expect((await b.call('POST', '/check', { keys: 'b:1' })).body).toEqual({ locked: false });
});

test('an id that was guessed tells nothing false of a semaphore of another prefix', async () => {
  await using services = new Semaphores({});
  const semaphores = services.open();
  await using server = await LockServer.start(semaphores, { apiKeys: [A, B] });
  const [a, b] = [server.with(A.key), server.with(B.key)];
  const told: string[] = [];
  semaphores.events.subscribe(({ type, key }) => told.push(`${type} ${key}`));
  const { body } = await a.acquire('a:k');
  const id = String(body['id']);
  expect((await b.renew('b:k', id, 1000)).status).toBe(410);
  expect((await b.release('b:k', id)).body).toEqual({ outcome: 'expired' });
  expect((await a.renew('a:k', id, 60_000)).status).toBe(200);
  expect((await a.release('a:k', id)).body).toEqual({ outcome: 'released' });
  expect(told).toEqual(['acquired a:k', 'renewed a:k', 'released a:k']);
});

describe('on Redis', () => {
  const redis = useRedis();

  test('the time that a list takes does not tell which keys others have', async () => {
    await using services = new Semaphores({ redis: { port: redis.port } });
    await using server = await LockServer.start(services.open(), { apiKeys: [A, B] });
    const [a, b] = [server.with(A.key), server.with(B.key)];
    await Promise.all([1, 2, 3].map((n) => a.acquire(`a:${n}`)));
    await b.acquire('b:1');
    const listed = async (call: () => Promise<unknown>): Promise<number> => {
      const before = await countCommands(redis.port);
      await call();
      return (await countCommands(redis.port)).scripts - before.scripts;
    };
    expect(await listed(() => b.call('GET', '/v1/semaphores?pattern=a:*'))).toBe(0);
    expect(await listed(() => b.call('GET', '/v1/store/keys?pattern=a:*'))).toBe(0);
    // Those of its own are looked at.
    expect(await listed(() => b.call('GET', '/v1/semaphores'))).toBe(1);
  });
});

test('callers do not meet by choosing the same requestId or uid; keys of one name are one caller', async () => {
  await using services = new Semaphores({});
  const rotated = { ...A, key: 'tenant-a-9876543210' };
  const stranger = { ...A, key: 'stranger-0123456789', name: 'c' };
  const apiKeys = [A, rotated, stranger];
  await using server = await LockServer.start(services.open(), { apiKeys });
  const [before, after, other] = apiKeys.map(({ key }) => server.with(key));
  const lock = { uid: 'u', keys: 'a:lock', exp: 60_000 };
  const first = await before?.call('POST', '/lock', lock);
  expect((await after?.call('POST', '/lock', lock))?.body).toEqual(first?.body);
  expect((await other?.call('POST', '/lock', lock))?.status).toBe(423);
  const wish = { requestId: 'r', waitMs: 0 };
  expect((await before?.acquire('a:k', wish))?.status).toBe(201);
  expect((await after?.acquire('a:k', wish))?.status).toBe(200);
  expect((await other?.acquire('a:k', wish))?.status).toBe(429);
});

test('each caller may have only so many requests and streams open', async () => {
  await using services = new Semaphores({});
  const semaphores = services.open();
  await using server = await LockServer.start(semaphores, {
    apiKeys: [A, B],
    maxOpenWaits: 1,
    maxSessions: 1,
  });
  const [a, b] = [server.with(A.key), server.with(B.key)];
  const { body } = await a.acquire('a:k');
  const isQueued = nextEvent(semaphores, 'waiting');
  const waiting = a.acquire('a:k', { waitMs: null });
  await isQueued;
  const refused = await a.acquire('a:l');
  expect([refused.status, refused.body['code']]).toEqual([429, 'TOO_MANY_WAITS']);
  expect((await b.acquire('b:k')).status).toBe(201);
  await a.release('a:k', body['id']);
  expect((await waiting).status).toBe(201);
  const stream = await a.stream('/v1/sessions');
  await expect(a.stream('/v1/events')).rejects.toThrow('429');
  (await b.stream('/v1/events')).close();
  stream.close();
  for (const path of ['/v1/events', '/v1/sessions']) {
    await pollUntil('the stream before has been left', async () => {
      (await a.stream(path)).close();
      return true;
    });
  }
});

test('each caller may have only so many remote stores, and each of them so many permits', async () => {
  await using services = new Semaphores({});
  await using server = await LockServer.start(services.open(), {
    apiKeys: [A, B],
    maxOpenWaits: 1,
    maxSessions: 1,
  });
  const [a, b] = [server.with(A.key), server.with(B.key)];
  const newSession = (): Record<string, string> => ({
    'x-store-session': randomBytes(32).toString('base64url'),
    'x-store-client': 'test:1',
    'x-store-grace': '1000',
  });
  const headers = newSession();
  const stream = await a.stream('/v1/store', headers);
  const refused = await a.call('GET', '/v1/store', undefined, { headers: newSession() });
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1']);
  (await b.stream('/v1/store', newSession())).close();

  const wish = { op: 'acquire', key: 'a:k', permits: 2, weight: 1, priority: 0 };
  const call = { ...wish, leaseMs: null, wait: false, maxWaiting: null };
  const calls = [1, 2].map((id) => ({ ...call, id: String(id) }));
  const { body } = await a.call('POST', '/v1/store', { calls }, { headers });
  expect(body['results']).toMatchObject([
    { value: { status: 'granted' } },
    { error: { code: 'TOO_MANY_PERMITS', nothingDone: true } },
  ]);
  await a.call('DELETE', '/v1/store', undefined, { headers });
  stream.close();
  (await a.stream('/v1/store', { ...newSession(), 'x-store-grace': '1' })).close();
  await pollUntil('the grace time of what was broken off is over', async () => {
    (await a.stream('/v1/store', newSession())).close();
    return true;
  });
});

describe('without API keys', () => {
  test('a request from this machine may do everything', async () => {
    await using services = new Semaphores({});
    await using server = await LockServer.start(services.open(), { apiKeys: [] });
    const anyone = server.with('');
    expect((await anyone.acquire('k')).status).toBe(201);
    expect((await anyone.call('PUT', '/v1/semaphores/k', { permits: 2 })).status).toBe(200);
  });

  test.each([
    ['through a proxy', { 'x-forwarded-for': '10.0.0.1' }],
    ['through a proxy that says its name', { via: '1.1 proxy' }],
    ['through a proxy like nginx', { 'x-real-ip': '10.0.0.1' }],
    ['of a web page', { origin: 'https://example.com' }],
    ['of a web page without its origin', { 'sec-fetch-site': 'cross-site' }],
    ['of a web page on another port', { 'sec-fetch-site': 'same-site' }],
    ['to another host name', { host: 'example.com' }],
  ])('a request %s is refused', async (_, headers) => {
    await using services = new Semaphores({});
    await using server = await LockServer.start(services.open(), { apiKeys: [] });
    const asked = httpRequest(`${server.url}/v1/semaphores`, { headers });
    asked.end();
    const [response] = await once(asked, 'response');
    expect(response.statusCode).toBe(403);
    response.resume();
  });

  const address = Object.values(networkInterfaces())
    .flat()
    .find((one) => one?.family === 'IPv4' && !one.internal)?.address;

  (address === undefined ? test.skip : test)('a request from elsewhere is refused', async () => {
    await using services = new Semaphores({});
    await using server = await LockServer.start(services.open(), { apiKeys: [] }, '0.0.0.0');
    const port = new URL(server.url).port;
    const response = await fetch(`http://${address}:${port}/v1/semaphores`);
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ code: 'LOOPBACK_ONLY' });
    expect((await fetch(`http://${address}:${port}/health`)).status).toBe(200);
  });
});

test('a body that comes too slowly is answered and not waited for', async () => {
  await using services = new Semaphores({});
  await using server = await LockServer.start(services.open(), { bodyTimeoutMs: 100 });
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  socket.write(
    `POST /lock HTTP/1.1\r\nhost: x\r\nx-api-key: ${ADMIN_KEY}\r\n` +
      'content-type: application/json\r\ncontent-length: 100\r\n\r\n{"uid":',
  );
  const [answer] = await once(socket, 'data');
  expect(String(answer)).toMatch(/^HTTP\/1.1 408 [^]*connection: close/i);
  await once(socket, 'end');
  socket.destroy();
});

test.each([
  [undefined, 'got `undefined`'],
  [1234, 'got "***"'],
])('an API key that is no text is told as what it is, and never shown: %s', (key, said) => {
  const apiKeys = [key] as unknown as string[];
  expect(() => new ApiKeys(apiKeys)).toThrow(`a string, or an object with a \`key\`, ${said}`);
});
