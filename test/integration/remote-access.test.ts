import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { InvalidOptionsError, SemaphoreService } from 'nestjs-semaphore';
import { RemoteSemaphoreStore } from 'nestjs-semaphore/client';
import { createSemaphoreServer } from 'nestjs-semaphore/server';
import { nextEvent } from '../support/semaphores.js';

const SHOP = 'the-api-key-of-the-shop';
const ADMIN = 'the-api-key-of-an-admin';

interface Started {
  server: Server;
  url: string;
  stop(): Promise<void>;
}

async function start(semaphores: SemaphoreService): Promise<Started> {
  const locks = createSemaphoreServer({
    semaphores,
    apiKeys: [{ key: SHOP, name: 'shop', role: 'use', prefixes: ['shop:'] }, ADMIN],
  });
  const server = createServer((request, response) => locks.handler(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const stop = async (): Promise<void> => {
    await locks.close();
    server.closeAllConnections();
    server.close();
  };
  return { server, url, stop };
}

describe('what an API key may do over the store of the server', () => {
  const semaphores = new SemaphoreService({ log: 'none' });
  let server: Server;
  let url: string;
  let stop: () => Promise<void>;

  beforeAll(async () => {
    ({ server, url, stop } = await start(semaphores));
  });

  afterAll(async () => {
    await stop();
    await semaphores.close();
  });

  const open = (apiKey: string): SemaphoreService & AsyncDisposable => {
    const service = new SemaphoreService({
      store: new RemoteSemaphoreStore({ url, apiKey }),
      log: 'none',
    });
    return Object.assign(service, { [Symbol.asyncDispose]: () => service.close() });
  };

  const header = (secret: string, apiKey: string): Record<string, string> => ({
    'x-api-key': apiKey,
    'x-store-session': secret,
    'x-store-client': 'test:1',
    'x-store-grace': '1000',
  });

  const post = (secret: string, apiKey: string, body: string): Promise<Response> =>
    fetch(`${url}/v1/store`, {
      method: 'POST',
      headers: { ...header(secret, apiKey), 'content-type': 'application/json' },
      body,
    });

  it('keeps a key with prefixes away from all other semaphores', async () => {
    await using shop = open(SHOP);
    await using admin = open(ADMIN);
    const own = await shop.acquire('shop:till');
    const other = await admin.acquire('bank:safe');

    await expect(shop.acquire('bank:safe', { onStoreFailure: 'allow' })).rejects.toThrow(
      InvalidOptionsError,
    );
    await expect(shop.inspect('bank:safe')).rejects.toThrow(InvalidOptionsError);
    await expect(shop.forceRelease('bank:safe', other.id)).rejects.toThrow(InvalidOptionsError);
    const seen: string[] = [];
    for await (const key of shop.list()) seen.push(key);
    expect(seen).toEqual(['shop:till']);
    expect(other.isHeld).toBe(true);
    await own.release();
    await other.release();
  });

  it('does not take what a key with prefixes may not see for a store that is down', async () => {
    await using shop = open(SHOP);
    const health = await shop.health();
    expect(health).toMatchObject({ error: undefined, isListening: true });
    expect(health.latencyMs).toBeGreaterThan(0);
    expect(health.silentMs).toBeLessThan(1000);
  });

  it('lets only admins set limits and release by force', async () => {
    await using shop = open(SHOP);
    await using admin = open(ADMIN);
    const permit = await shop.acquire('shop:till');
    await expect(shop.setPermits('shop:till', 5)).rejects.toThrow('role `admin`');
    await expect(shop.forceRelease('shop:till', permit.id)).rejects.toThrow('role `admin`');
    const lost = once(permit.signal, 'abort');
    expect(await admin.forceRelease('shop:till', permit.id)).toBe(true);
    await lost;
  });

  it('lets nobody take up the session of another API key', async () => {
    const secret = randomBytes(32).toString('base64url');
    const aborter = new AbortController();
    const { signal } = aborter;
    const stream = await fetch(`${url}/v1/store`, { headers: header(secret, ADMIN), signal });
    expect(stream.status).toBe(200);
    expect((await fetch(`${url}/v1/store`, { headers: header(secret, SHOP) })).status).toBe(403);
    expect((await post(secret, SHOP, '{"calls":[]}')).status).toBe(403);
    const end = { method: 'DELETE', headers: header(secret, SHOP) };
    expect((await fetch(`${url}/v1/store`, end)).status).toBe(403);
    expect((await post(secret, ADMIN, '{"calls":[]}')).status).toBe(200);
    aborter.abort();
  });

  it('answers nonsense with what is wrong, and does nothing', async () => {
    const secret = randomBytes(32).toString('base64url');
    const acquire = { op: 'acquire', key: 'k', id: 'a', permits: 1, weight: 1, priority: 0 };
    const call = { ...acquire, leaseMs: null, wait: false, maxWaiting: null };
    const body = (change: object): string => JSON.stringify({ calls: [{ ...call, ...change }] });
    const postResult = (text: string, apiKey = ADMIN): Promise<Response> =>
      fetch(`${url}/v1/store/result`, {
        method: 'POST',
        headers: { ...header(secret, apiKey), 'content-type': 'application/json' },
        body: text,
      });
    expect((await post(secret, ADMIN, body({}))).status).toBe(409);
    // Nobody reads a long body of who has no session.
    expect((await postResult('{')).status).toBe(409);
    const aborter = new AbortController();
    const { signal } = aborter;
    // It ends when nobody refers to it any more.
    const stream = await fetch(`${url}/v1/store`, { headers: header(secret, ADMIN), signal });
    const publish = { key: 'k', permitId: 'a', freshMs: 0, staleMs: 0 };
    const result = (change: object): string =>
      JSON.stringify({ calls: [{ op: 'publish', ...publish, ...change }] });
    const cases: [number, string][] = [
      [400, '{'],
      [400, '[]'],
      [400, '{"calls":[{}]}'],
      [400, body({ id: '../x' })],
      [400, body({ key: '' })],
      [400, body({ leaseMs: -1 })],
      [400, body({ unknown: 1 })],
      [400, JSON.stringify({ calls: Array.from({ length: 258 }, () => call) })],
      [413, body({ label: 'x'.repeat(200_000) })],
      [400, result({})],
      [400, result({ payload: '!' })],
      [400, result({ payload: 'v', permitId: 'a b' })],
      [400, result({ payload: 'v', freshMs: null })],
      [400, result({ payload: 'v', staleMs: -1 })],
      [400, JSON.stringify({ calls: [{ op: 'look', key: 'k', seen: 0.5 }] })],
      [400, JSON.stringify({ calls: [{ op: 'forget', key: '' }] })],
    ];
    const results: [number, string][] = [
      [400, '{'],
      [400, JSON.stringify({ ...publish, payload: '!' })],
      [400, JSON.stringify({ ...publish, payload: 'v', key: '' })],
      [400, JSON.stringify({ ...publish, payload: 'v', unknown: 1 })],
      [200, JSON.stringify({ ...publish, payload: 'v'.repeat(1_000_000) })],
      [413, JSON.stringify({ ...publish, payload: 'v'.repeat(9_000_000) })],
    ];
    for (const [status, text] of results) expect((await postResult(text)).status).toBe(status);
    expect((await postResult(JSON.stringify({ ...publish, payload: 'v' }), SHOP)).status).toBe(403);
    const look = (query: string, apiKey = ADMIN): Promise<Response> =>
      fetch(`${url}/v1/store/result?${query}`, { headers: header(secret, apiKey) });
    expect(await (await look('key=k')).json()).toMatchObject({ state: 'none', payload: '' });
    for (const query of ['', 'key=', 'key=k&seen=x', 'key=k&key=l', 'key=k&other=1']) {
      expect([query, (await look(query)).status]).toEqual([query, 400]);
    }
    expect((await look('key=k', SHOP)).status).toBe(403);

    for (const [status, text] of cases) {
      expect([text.slice(0, 100), (await post(secret, ADMIN, text)).status]).toEqual([
        text.slice(0, 100),
        status,
      ]);
    }
    expect(stream.status).toBe(200);
    aborter.abort();
    expect((await post('short', ADMIN, body({}))).status).toBe(400);
    expect((await fetch(`${url}/v1/store`, { headers: { 'x-api-key': ADMIN } })).status).toBe(400);
    expect((await post(secret, 'not-an-api-key-of-this', body({}))).status).toBe(401);
    expect((await semaphores.inspect('k')).held).toBe(0);
  });

  it('does nothing for a copy of a request that comes after a later one', async () => {
    const secret = randomBytes(32).toString('base64url');
    const aborter = new AbortController();
    const { signal } = aborter;
    const stream = await fetch(`${url}/v1/store`, { headers: header(secret, ADMIN), signal });
    const acquire = { op: 'acquire', key: 'late', permits: 1, weight: 1, priority: 0 };
    const call = { ...acquire, id: 'a', leaseMs: null, wait: false, maxWaiting: null };
    const release = { op: 'release', key: 'late', id: 'a', holdAtLeastMs: 0, lastToken: 0 };
    const send = (attempt: number, ...calls: object[]): Promise<Response> =>
      post(secret, ADMIN, JSON.stringify({ attempt, calls }));
    expect((await send(2, call)).status).toBe(200);
    expect((await send(3, release)).status).toBe(200);
    const late = await send(1, call);
    expect([late.status, await late.json()]).toMatchObject([409, { code: 'LATE' }]);
    expect((await send(3, call)).status).toBe(409);
    expect((await semaphores.inspect('late')).held).toBe(0);
    expect((await send(4)).status).toBe(200);
    expect(stream.status).toBe(200);
    aborter.abort();
  });

  it('reads the long bodies of four requests of a caller at once, and of others when those are over', async () => {
    const secret = randomBytes(32).toString('base64url');
    const aborter = new AbortController();
    const { signal } = aborter;
    const stream = await fetch(`${url}/v1/store`, { headers: header(secret, ADMIN), signal });
    const answered: string[] = [];
    const upload = async (name: string): Promise<{ finish: () => Promise<void> }> => {
      const sent = request(`${url}/v1/store/result`, {
        method: 'POST',
        headers: { ...header(secret, ADMIN), 'content-type': 'application/json' },
      });
      const answer = once(sent, 'response').then(([response]) => {
        answered.push(name);
        response.resume();
      });
      const isHere = once(server, 'request');
      sent.write('{');
      await isHere;
      return {
        finish: async () => {
          sent.end('}');
          await answer;
        },
      };
    };
    const uploads = [];
    for (const name of ['1', '2', '3', '4', '5', '6']) uploads.push(await upload(name));
    const [first, , , , fifth, sixth] = uploads;
    const late = Promise.all([fifth?.finish(), sixth?.finish()]);
    await post(secret, ADMIN, '{"calls":[]}');
    expect(answered).toEqual([]);
    // Another caller need not wait for them.
    const headers = header(randomBytes(32).toString('base64url'), SHOP);
    const others = await fetch(`${url}/v1/store`, { headers, signal });
    const look = fetch(`${url}/v1/store/result?key=shop:k`, { headers });
    expect([others.status, (await look).status]).toEqual([200, 200]);
    // What it may not use it neither sees nor publishes.
    const hidden = await fetch(`${url}/v1/store/result?key=bank:k`, { headers });
    const body = JSON.stringify({
      key: 'bank:k',
      permitId: 'a',
      payload: 'v',
      freshMs: 0,
      staleMs: 0,
    });
    const json = { ...headers, 'content-type': 'application/json' };
    const result = await fetch(`${url}/v1/store/result`, { method: 'POST', headers: json, body });
    const forbidden = { code: 'FORBIDDEN_KEY' };
    expect([await hidden.json(), await result.json()]).toMatchObject([forbidden, forbidden]);
    await first?.finish();
    expect(answered[0]).toBe('1');
    await late;
    for (const { finish } of uploads) await finish();
    expect(stream.status).toBe(200);
    aborter.abort();
  });
});

describe('the health of a server', () => {
  it('says since when one that has gone away was not heard, and why', async () => {
    const { url, stop } = await start(new SemaphoreService());
    const store = new RemoteSemaphoreStore({ url, apiKey: ADMIN });
    const service = new SemaphoreService({ store, log: 'none' });
    expect(await service.health()).toMatchObject({ error: undefined, isListening: true });

    const down = nextEvent(service, 'store-down');
    await stop();
    await down;
    const health = await service.health(50);
    expect(health).toMatchObject({ latencyMs: undefined, isListening: false });
    expect(health.error?.message).toMatch(/ended the stream|broke off|ECONN/);
    expect(Number.isFinite(health.silentMs)).toBe(true);
    await service.close();
  });

  it('is down with its store, for a key with prefixes too', async () => {
    const semaphores = new SemaphoreService();
    const unreachable = { latencyMs: undefined, isListening: false, silentMs: Infinity };
    semaphores.health = () => Promise.resolve(unreachable);
    const { url, stop } = await start(semaphores);
    const store = new RemoteSemaphoreStore({ url, apiKey: SHOP });
    const service = new SemaphoreService({ store, log: 'none' });
    const health = await service.health();
    expect(health.latencyMs).toBeUndefined();
    expect(health.error?.message).toContain('the server answered 503');
    await service.close();
    await stop();
  });
});
