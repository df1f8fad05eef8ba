import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { ADMIN_KEY, LockServer } from '../support/lock-server.js';
import { pollUntil } from '../support/redis-admin.js';
import { startRedis, useRedis } from '../support/redis-server.js';
import { nextEvent, Semaphores } from '../support/semaphores.js';

const redis = useRedis();

const stores = [
  { store: 'memory', options: () => ({}) },
  { store: 'Redis', options: () => ({ redis: redis.url }) },
];

describe.each(stores)('the lock server on $store', ({ options }) => {
  test('gives, renews, shows and takes back permits', async () => {
    await using services = new Semaphores(options());
    await using server = await LockServer.start(services.open());
    const key = 'odd/key ü?#%';
    const acquired = await server.acquire(key, {
      permits: 2,
      weight: 2,
      leaseMs: 5000,
      label: 'me',
    });
    expect(acquired.status).toBe(201);
    expect(acquired.body).toEqual({
      id: expect.any(String),
      key,
      weight: 2,
      fencingToken: expect.any(Number),
      leaseMs: 5000,
      expiresAt: expect.any(Number),
    });
    const { id, fencingToken } = acquired.body;
    expect((await server.inspect(key)).body).toMatchObject({
      permits: 2,
      held: 2,
      holders: [{ id, fencingToken, label: 'me', weight: 2 }],
    });
    for (const pattern of ['odd*', '']) {
      const listed = await server.call('GET', `/v1/semaphores?pattern=${pattern}`);
      expect(listed.body).toEqual({ keys: [key] });
    }
    const renewed = await server.renew(key, id, 60_000);
    expect([renewed.status, renewed.body]).toEqual([
      200,
      { id, key, leaseMs: 60_000, expiresAt: expect.any(Number) },
    ]);
    expect(Number(renewed.body['expiresAt'])).toBeGreaterThan(Number(acquired.body['expiresAt']));
    expect((await server.release(key, id)).body).toEqual({ outcome: 'released' });
    expect((await server.release(key, id)).body).toEqual({ outcome: 'expired' });
    const lost = await server.renew(key, id, 1000);
    expect([lost.status, lost.body['code']]).toEqual([410, 'SEMAPHORE_PERMIT_LOST']);
  });

  test('says why there is no permit, and when to try again', async () => {
    await using services = new Semaphores(options());
    const semaphores = services.open();
    await using server = await LockServer.start(semaphores);
    await server.acquire('k');
    const busy = await server.acquire('k', { waitMs: 0 });
    expect(busy.status).toBe(429);
    expect(busy.body).toMatchObject({
      statusCode: 429,
      code: 'SEMAPHORE_BUSY',
      reason: 'busy',
      retryAfterMs: expect.any(Number),
      message: expect.any(String),
    });
    expect(Number(busy.headers.get('retry-after'))).toBeGreaterThan(0);
    const timeout = await server.acquire('k', { waitMs: 20 });
    expect([timeout.status, timeout.body['reason']]).toEqual([429, 'timeout']);
    const isQueued = nextEvent(semaphores, 'waiting');
    const waiting = server.acquire('k', { waitMs: null });
    const { permitId } = await isQueued;
    const full = await server.acquire('k', { maxWaiting: 1 });
    expect([full.status, full.body['reason']]).toEqual([503, 'queue-full']);
    await server.release('k', permitId, '?force=true');
    expect((await waiting).status).toBe(410);
  });

  test('grants a waiting request as soon as the permit is free', async () => {
    await using services = new Semaphores(options());
    const semaphores = services.open();
    await using server = await LockServer.start(semaphores);
    const first = await server.acquire('k');
    const isQueued = nextEvent(semaphores, 'waiting');
    const second = server.acquire('k');
    await isQueued;
    await server.release('k', first.body['id']);
    const { status, body } = await second;
    expect(status).toBe(201);
    expect(Number(body['fencingToken'])).toBeGreaterThan(Number(first.body['fencingToken']));
  });

  test('takes a request that hangs up out of the queue', async () => {
    await using services = new Semaphores(options());
    const semaphores = services.open();
    await using server = await LockServer.start(semaphores);
    await server.acquire('k');
    const isQueued = nextEvent(semaphores, 'waiting');
    const controller = new AbortController();
    const waiting = server.acquire('k', { waitMs: null }, { signal: controller.signal });
    await isQueued;
    const isGone = nextEvent(semaphores, 'rejected');
    controller.abort();
    await expect(waiting).rejects.toThrow();
    expect((await isGone).reason).toBe('aborted');
    expect((await server.inspect('k')).body['waiters']).toEqual([]);
  });

  test('gives the same permit for the same requestId', async () => {
    await using services = new Semaphores(options());
    const semaphores = services.open();
    await using server = await LockServer.start(semaphores);
    const held = await server.acquire('k');
    const isQueued = nextEvent(semaphores, 'waiting');
    const asked = [
      server.acquire('k', { requestId: 'r1' }),
      server.acquire('k', { requestId: 'r1' }),
    ];
    await isQueued;
    await server.release('k', held.body['id']);
    const answers = await Promise.all(asked);
    answers.push(await server.acquire('k', { requestId: 'r1', waitMs: 0 }));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(new Set(answers.map(({ body }) => body['id'])).size).toBe(1);
    expect(new Set(answers.map(({ body }) => body['fencingToken'])).size).toBe(1);
    expect((await server.acquire('k', { requestId: 'r2', waitMs: 0 })).status).toBe(429);
  });

  test('keeps the place of a request that asks again in time', async () => {
    await using services = new Semaphores(options());
    const semaphores = services.open();
    await using server = await LockServer.start(semaphores);
    const held = await server.acquire('k');
    const ask = (requestId: string, wait: number) =>
      server.acquire('k', { requestId, waitMs: null }, { headers: { prefer: `wait=${wait}` } });
    const still = await ask('early', 0);
    expect([still.status, still.body]).toEqual([202, { requestId: 'early', retryAfterMs: 0 }]);
    const isQueued = nextEvent(semaphores, 'waiting');
    const late = server.acquire('k', { requestId: 'late' });
    await isQueued;
    const again = ask('early', 30);
    await server.release('k', held.body['id']);
    const { status, body } = await again;
    expect(status).toBe(201);
    expect((await server.inspect('k')).body['waiters']).toHaveLength(1);
    await server.release('k', body['id']);
    expect((await late).status).toBe(201);
    const refused = await server.acquire('k', {}, { headers: { prefer: 'wait=1' } });
    expect([refused.status, refused.body['details']]).toEqual([
      400,
      [{ field: 'requestId', rule: expect.any(String) }],
    ]);
  });

  test('gives up the place of a request that does not ask again', async () => {
    await using services = new Semaphores(options());
    const semaphores = services.open();
    await using server = await LockServer.start(semaphores, { waitGraceMs: 50 });
    await server.acquire('k');
    const isGone = nextEvent(semaphores, 'rejected');
    const headers = { prefer: 'respond-async, wait = "0"' };
    expect((await server.acquire('k', { requestId: 'r' }, { headers })).status).toBe(202);
    expect((await isGone).reason).toBe('aborted');
  });

  test('keeps a permit taken for as long as it was asked to', async () => {
    await using services = new Semaphores(options());
    await using server = await LockServer.start(services.open());
    const { body } = await server.acquire('k', { holdAtLeastMs: 60_000 });
    expect((await server.release('k', body['id'])).body).toEqual({ outcome: 'released' });
    expect((await server.acquire('k', { waitMs: 0 })).status).toBe(429);
  });

  test('never ends a permit whose lease is null by itself', async () => {
    await using services = new Semaphores(options());
    await using server = await LockServer.start(services.open());
    const { body } = await server.acquire('k', { leaseMs: null });
    expect(body).toMatchObject({ leaseMs: null, expiresAt: null });
    expect((await server.inspect('k')).body['holders']).toMatchObject([{ expiresAt: null }]);
    expect((await server.acquire('k', { waitMs: 0 })).status).toBe(429);
  });

  test('lets admins set limits and release by force', async () => {
    await using services = new Semaphores(options());
    const use = { key: 'use-key-0123456789', role: 'use' as const };
    await using server = await LockServer.start(services.open(), { apiKeys: [ADMIN_KEY, use] });
    const user = server.with(use.key);
    const { body } = await user.acquire('k');
    expect((await user.release('k', body['id'], '?force=true')).status).toBe(403);
    expect((await user.call('PUT', '/v1/semaphores/k', { permits: 2 })).status).toBe(403);
    const limited = await server.call('PUT', '/v1/semaphores/k', { permits: 2 });
    expect([limited.status, limited.body]).toEqual([200, { key: 'k', permits: 2 }]);
    expect((await user.acquire('k', { waitMs: 0 })).status).toBe(201);
    expect((await server.release('k', body['id'], '?force=true')).body).toEqual({
      outcome: 'released',
    });
    expect((await server.release('k', body['id'], '?force=true')).body).toEqual({
      outcome: 'expired',
    });
    await server.call('PUT', '/v1/semaphores/k', { permits: null });
  });

  test('locks all keys or none, with versions', async () => {
    await using services = new Semaphores(options());
    await using server = await LockServer.start(services.open());
    const lock = (uid: string, keys: string | string[], exp = 5000) =>
      server.call('POST', '/lock', { uid, keys, exp });
    const first = await lock('u1', ['b', 'a']);
    expect([first.status, first.body]).toEqual([
      200,
      {
        tokens: [
          { key: 'b', version: expect.any(Number) },
          { key: 'a', version: expect.any(Number) },
        ],
      },
    ]);
    const refused = await lock('u2', ['c', 'b']);
    expect([refused.status, refused.body['error']]).toEqual([423, expect.any(String)]);
    expect((await server.call('POST', '/check', { keys: 'c' })).body).toEqual({ locked: false });
    expect((await server.call('POST', '/check', { keys: ['c', 'a'] })).body).toEqual({
      locked: true,
    });
    const extended = await lock('u1', ['b', 'a'], 60_000);
    expect(extended.body).toEqual(first.body);
    expect((await lock('u1', ['a', 'd'])).status).toBe(200);
    expect((await lock('u2', ['d', 'e'])).status).toBe(423);
    const unlock = (uid: string, tokens: unknown) =>
      server.call('POST', '/unlock', { uid, tokens });
    const tokens = first.body['tokens'] as { key: string; version: number }[];
    const larger = tokens.map(({ key, version }) => ({ key, version: version + 1 }));
    expect((await unlock('u1', larger)).body).toEqual({ unlocked: [] });
    expect((await unlock('u2', tokens)).body).toEqual({ unlocked: [] });
    expect((await unlock('u1', tokens)).body).toEqual({ unlocked: ['b', 'a'] });
    expect((await unlock('u1', tokens)).body).toEqual({ unlocked: [] });
    expect((await lock('u2', ['a', 'b', 'c'])).status).toBe(200);
  });

  test('takes nothing for a request of several keys of which one is locked', async () => {
    await using services = new Semaphores(options());
    const semaphores = services.open();
    await using server = await LockServer.start(semaphores);
    const lock = (uid: string, keys: string[]) =>
      server.call('POST', '/lock', { uid, keys, exp: 60_000 });
    expect((await lock('u1', ['m', 'z'])).status).toBe(200);
    await semaphores.setPermits('shared', 2);
    expect((await lock('u1', ['shared', 'shared 2'])).status).toBe(200);
    const acquired: unknown[] = [];
    semaphores.events.subscribe((event) => event.type === 'acquired' && acquired.push(event.key));
    for (const keys of [
      ['a', 'z'],
      ['a', 'b', 'm', 'n'],
    ]) {
      const { status, body } = await lock('u2', keys);
      expect([status, body['code']]).toEqual([423, 'LOCKED']);
    }
    expect(acquired).toEqual([]);
    // A limit that an operator has set holds for locks too.
    expect((await lock('u2', ['shared', 'a'])).status).toBe(200);
    expect(acquired).toEqual(['a', 'shared']);
  });

  test('never shortens a lock of the same uid', async () => {
    await using services = new Semaphores(options());
    const semaphores = services.open();
    await using server = await LockServer.start(semaphores);
    const lock = (keys: string | string[], exp?: number) =>
      server.call('POST', '/lock', { uid: 'u', keys, exp });
    const ends = async () => {
      const snapshots = await Promise.all(['a', 'b'].map((key) => semaphores.inspect(key)));
      return snapshots.map(({ holders }) => Number(holders[0]?.expiresAt));
    };
    const { body } = await lock(['a', 'b'], 60_000);
    for (const keys of ['a', ['a', 'b'], ['a', 'c']]) {
      for (const exp of [undefined, 2000]) {
        const before = await ends();
        const again = await lock(keys, exp);
        expect(again.status).toBe(200);
        expect(again.body['tokens']).toContainEqual((body['tokens'] as unknown[])[0]);
        const after = await ends();
        // The store's times are rounded.
        expect(after.map((end, i) => end < Number(before[i]) - 1)).toEqual([false, false]);
      }
    }
  });

  test('ends locks by their expiry, which begins anew when the same uid locks again', async () => {
    await using services = new Semaphores(options());
    await using server = await LockServer.start(services.open(), { defaultExpiryMs: 300 });
    const lock = (uid: string, exp?: number) =>
      server.call('POST', '/lock', { uid, keys: 'k', exp });
    const first = await lock('u1');
    expect((await lock('u2')).status).toBe(423);
    await sleep(320);
    const second = await lock('u2', 60_000);
    expect(second.status).toBe(200);
    const versionOf = ({ body }: typeof first) =>
      (body['tokens'] as { version: number }[])[0]?.version;
    expect(Number(versionOf(second))).toBeGreaterThan(Number(versionOf(first)));
    expect((await lock('u1')).status).toBe(423);
  });

  test('locks free keys however short their expiry is', async () => {
    await using services = new Semaphores(options());
    const semaphores = services.open();
    await using server = await LockServer.start(semaphores);
    const many = Array.from({ length: 100 }, (_, i) => `k${i}`);
    for (const keys of ['k', ['a', 'b'], many]) {
      for (const exp of [1, 2, 20]) {
        const { status, body } = await server.call('POST', '/lock', { uid: 'u', keys, exp });
        expect([keys, exp, status, body['error']]).toEqual([keys, exp, 200, undefined]);
        expect(body['tokens']).toHaveLength([keys].flat().length);
        await pollUntil('they have ended', async () => {
          const check = await server.call('POST', '/check', { keys });
          return check.body['locked'] === false;
        });
      }
    }
  });

  test('says how many units a permit has where a limit that was set leaves fewer', async () => {
    await using services = new Semaphores(options());
    await using server = await LockServer.start(services.open());
    await server.call('PUT', '/v1/semaphores/k', { permits: 2 });
    const wish = { permits: 9, weight: 3, requestId: 'r' };
    for (const expected of [201, 200]) {
      const { status, body } = await server.acquire('k', wish);
      expect([status, body['weight']]).toEqual([expected, 2]);
    }
    expect((await server.inspect('k')).body).toMatchObject({ permits: 2, held: 2 });
  });

  test('the same requestId with other fields is answered with what is held', async () => {
    await using services = new Semaphores(options());
    await using server = await LockServer.start(services.open());
    const wish = { permits: 10, requestId: 'r' };
    const first = await server.acquire('k', { ...wish, weight: 2, leaseMs: 30_000 });
    expect(first.status).toBe(201);
    const again = await server.acquire('k', { ...wish, weight: 2, leaseMs: 30_000 });
    expect([again.status, again.body]).toEqual([200, first.body]);
    for (const leaseMs of [1000, 60_000, null]) {
      const { status, body } = await server.acquire('k', { ...wish, weight: 3, leaseMs });
      expect([status, body]).toEqual([200, { ...first.body, leaseMs: expect.any(Number) }]);
      expect(body['leaseMs']).toBeLessThanOrEqual(30_000);
      expect(body['leaseMs']).toBeGreaterThan(1000);
    }
  });
});

test('names the part of a path that is not URL-encoded', async () => {
  await using services = new Semaphores({});
  await using server = await LockServer.start(services.open());
  expect((await server.call('GET', '/v1/semaphores/%E0%A4%A')).body).toMatchObject({
    statusCode: 400,
    code: 'INVALID_PATH',
    details: [{ field: 'key', rule: 'URL-encoded' }],
  });
});

test('says that it is unhealthy before its calls of the store have failed', async () => {
  await using own = await startRedis();
  await using services = new Semaphores({ redis: own.url, storeTimeoutMs: 30_000 });
  await using server = await LockServer.start(services.open());
  expect((await server.call('GET', '/health')).status).toBe(200);
  own.pause();
  await pollUntil('it notices', async () => (await server.call('GET', '/health')).status === 503);
  const { headers, body } = await server.call('GET', '/health');
  expect(headers.get('retry-after')).toBe('1');
  expect(body).toMatchObject({
    status: 'unavailable',
    statusCode: 503,
    code: 'SEMAPHORE_STORE_UNAVAILABLE',
    message: expect.any(String),
  });
  own.resume();
  await pollUntil('it is well', async () => (await server.call('GET', '/health')).status === 200);
});
