import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { MemorySemaphoreStore } from 'nestjs-semaphore';
import { ADMIN_KEY, LockServer } from '../support/lock-server.js';
import { pollUntil } from '../support/redis-admin.js';
import { useRedis } from '../support/redis-server.js';
import { nextEvent, nextEvents, queued, Semaphores } from '../support/semaphores.js';

const redis = useRedis();

const stores = [
  { store: 'memory', options: () => ({ store: new MemorySemaphoreStore() }) },
  { store: 'Redis', options: () => ({ redis: redis.url }) },
];

describe.each(stores)('sessions on $store', ({ options }) => {
  test('give their permits back within a second of the end of the stream', async () => {
    await using services = new Semaphores(options());
    const semaphores = services.open();
    await using server = await LockServer.start(semaphores);
    const { stream, headers } = await server.openSession();
    for (const key of ['a', 'b']) {
      expect((await server.acquire(key, { leaseMs: null }, { headers })).status).toBe(201);
    }
    const isQueued = nextEvent(semaphores, 'waiting');
    const waiting = server.acquire('a', { waitMs: 5000 });
    const ours = server.acquire('a', { waitMs: null }, { headers });
    await isQueued;
    const areReleased = nextEvents(semaphores, 'released', 2);
    const brokenAt = performance.now();
    stream.close();
    await areReleased;
    expect((await waiting).status).toBe(201);
    expect(performance.now() - brokenAt).toBeLessThan(1000);
    expect((await ours).status).toBe(503);
    expect((await server.inspect('b')).body).toMatchObject({ held: 0 });
    const late = await server.acquire('b', {}, { headers });
    expect([late.status, late.body['code']]).toEqual([404, 'SESSION_UNKNOWN']);
  });

  test('keep their permits alive while the stream is open', async () => {
    await using services = new Semaphores(options());
    await using server = await LockServer.start(services.open());
    const { stream, headers } = await server.openSession();
    const { body } = await server.acquire('k', { leaseMs: 100 }, { headers });
    expect(body['leaseMs']).toBe(1000);
    await sleep(1600);
    expect((await server.inspect('k')).body['holders']).toMatchObject([{ id: body['id'] }]);
    expect((await server.release('k', body['id'])).body).toEqual({ outcome: 'released' });
    stream.close();
  });

  test('give their permits the lease, whatever renews them', async () => {
    await using services = new Semaphores(options());
    await using server = await LockServer.start(services.open());
    const { stream, headers } = await server.openSession();
    const { body } = await server.acquire('k', { leaseMs: 2000 }, { headers });
    for (const leaseMs of [1, null]) {
      const path = `/v1/semaphores/k/permits/${String(body['id'])}`;
      const renewed = await server.call('PUT', path, { leaseMs });
      expect(renewed).toMatchObject({ status: 200, body: { leaseMs: 2000 } });
      const [holder] = (await server.inspect('k')).body['holders'] as { expiresAt: number }[];
      // The session may have renewed it meanwhile.
      expect(holder?.expiresAt).toBeGreaterThanOrEqual(Number(renewed.body['expiresAt']));
    }
    stream.close();
  });

  test('tell which permit was lost, and nothing of those that were released', async () => {
    await using services = new Semaphores(options());
    const semaphores = services.open();
    await using server = await LockServer.start(semaphores);
    const { stream, headers } = await server.openSession();
    const [released, forced, taken] = await Promise.all(
      ['a', 'b', 'c'].map(async (key) => (await server.acquire(key, {}, { headers })).body['id']),
    );
    await server.release('a', released);
    expect((await server.release('another', taken)).body).toEqual({ outcome: 'expired' });
    await server.release('b', forced, '?force=true');
    expect(await stream.until('lost')).toEqual({ key: 'b', id: forced });
    await semaphores.forceRelease('c', String(taken));
    expect(await stream.until('lost')).toEqual({ key: 'c', id: taken });
    stream.close();
  });

  test('leave to another one what it has asked for since', async () => {
    await using services = new Semaphores(options());
    const semaphores = services.open();
    await using server = await LockServer.start(semaphores);
    const [first, second] = [await server.openSession(), await server.openSession()];
    const ask = ({ headers }: typeof first) => server.acquire('k', { requestId: 'r' }, { headers });
    const { body } = await ask(first);
    expect((await ask(second)).status).toBe(200);
    await server.acquire('other', {}, { headers: first.headers });
    const isOver = nextEvent(semaphores, 'released');
    first.stream.close();
    expect(await isOver).toMatchObject({ key: 'other' });
    expect((await server.inspect('k')).body['holders']).toMatchObject([{ id: body['id'] }]);
    second.stream.close();
    expect((await server.acquire('k', { waitMs: 5000 })).status).toBe(201);
  });

  test('tell at once of a release by force, whichever server was asked', async () => {
    await using services = new Semaphores(options());
    // Renewed every third of it.
    await using server = await LockServer.start(services.open(), { sessionGraceMs: 600_000 });
    await using other = await LockServer.start(services.open());
    const { stream, headers } = await server.openSession();
    const { body } = await server.acquire('k', { leaseMs: null }, { headers });
    await other.release('k', body['id'], '?force=true');
    expect(await stream.until('lost')).toEqual({ key: 'k', id: body['id'] });
    stream.close();
  }, 10_000);

  test('tell of a release by force while their client was away when it is back', async () => {
    await using services = new Semaphores(options());
    const semaphores = services.open();
    await using server = await LockServer.start(semaphores, { sessionGraceMs: 60_000 });
    const { stream, id, headers } = await server.openSession();
    const { body } = await server.acquire('k', { leaseMs: 120_000 }, { headers });
    stream.close();
    await pollUntil('it is missed', async () => {
      const { holders } = await semaphores.inspect('k');
      return (holders[0]?.expiresAt ?? Infinity) - Date.now() < 61_000;
    });
    await server.release('k', body['id'], '?force=true');
    const resumed = await server.openSession(id);
    expect(await resumed.stream.until('lost')).toEqual({ key: 'k', id: body['id'] });
    resumed.stream.close();
  });

  test('cannot be used or resumed by another caller', async () => {
    await using services = new Semaphores(options());
    const other = 'other-key-0123456789';
    await using server = await LockServer.start(services.open(), {
      apiKeys: ['first-key-0123456789', other],
      sessionGraceMs: 5000,
    });
    const first = server.with('first-key-0123456789');
    const { stream, id, headers } = await first.openSession();
    await first.acquire('k', {}, { headers });
    expect((await server.with(other).acquire('l', {}, { headers })).status).toBe(404);
    const stolen = await server.with(other).openSession(id);
    expect(stolen.id).not.toBe(id);
    stream.close();
    stolen.stream.close();
  });

  test('go on when the client comes back in time, and end when it does not', async () => {
    await using services = new Semaphores(options());
    const semaphores = services.open();
    const lost: unknown[] = [];
    semaphores.events.subscribe((event) => event.type === 'lost' && lost.push(event));
    await using server = await LockServer.start(semaphores, { sessionGraceMs: 1000 });
    const { stream, id, headers } = await server.openSession();
    const { body } = await server.acquire('k', {}, { headers });
    stream.close();
    await sleep(100);
    expect((await server.inspect('k')).body['held']).toBe(1);
    const resumed = await server.openSession(id);
    expect(resumed.id).toBe(id);
    await sleep(1300);
    expect((await server.inspect('k')).body['holders']).toMatchObject([{ id: body['id'] }]);
    resumed.stream.close();
    const next = await server.acquire('k', { waitMs: 5000 });
    expect(next.status).toBe(201);
    // Its permit may end some milliseconds before it.
    await pollUntil('the session is over', async () => {
      return (await server.acquire('other', {}, { headers })).status === 404;
    });
    expect((await server.openSession(id)).id).not.toBe(id);
    expect(lost).toEqual([]);
  });

  test('end with all that they got while the client was away, or go on with it', async () => {
    await using services = new Semaphores(options());
    const semaphores = services.open();
    await using server = await LockServer.start(semaphores, { sessionGraceMs: 3000 });
    const endOf = async (key: string): Promise<number> =>
      (await semaphores.inspect(key)).holders[0]?.expiresAt ?? -Infinity;
    const wish = { waitMs: null, leaseMs: 60_000 };
    for (const comesBack of [true, false]) {
      const [before, waited, asked] = ['before', 'waited', 'asked'].map((k) => `${k}-${comesBack}`);
      const keys = [before, waited, asked] as [string, string, string];
      const held = await semaphores.acquire(keys[1]);
      const { stream, id, headers } = await server.openSession();
      const { body } = await server.acquire(keys[0], {}, { headers });
      const { outcome } = await queued(semaphores, () =>
        server.acquire(keys[1], wish, { headers }),
      );
      const endWithStream = await endOf(keys[0]);
      stream.close();
      await pollUntil('the server saw that the stream was closed', async () => {
        return (await endOf(keys[0])) < endWithStream;
      });
      const end = await endOf(keys[0]);
      await held.release();
      expect((await outcome).status).toBe(201);
      expect((await server.acquire(keys[2], wish, { headers })).status).toBe(201);
      expect((await server.renew(keys[0], body['id'], 60_000)).status).toBe(200);
      const ends = await Promise.all(keys.map(endOf));
      expect(Math.max(...ends)).toBeLessThan(end + 1000);
      if (!comesBack) continue;
      const resumed = await server.openSession(id);
      await pollUntil('all are renewed', async () => {
        return Math.min(...(await Promise.all(keys.map(endOf)))) > end + 1000;
      });
      resumed.stream.close();
    }
  });

  test('wait for their clients in a bounded number: the one that waits longest ends', async () => {
    await using services = new Semaphores(options());
    const other = 'other-key-0123456789';
    await using server = await LockServer.start(services.open(), {
      apiKeys: [ADMIN_KEY, other],
      sessionGraceMs: 60_000,
      maxSessions: 2,
    });
    const theirs = await server.with(other).openSession();
    theirs.stream.close();
    const gone: Awaited<ReturnType<LockServer['openSession']>>[] = [];
    while (gone.length < 3) {
      await pollUntil('the server saw that a stream was closed', async () => {
        const session = await server.openSession();
        session.stream.close();
        return gone.push(session) > 0;
      });
    }
    const [first, ...others] = gone;
    await pollUntil('the first session is over', async () => {
      const { status } = await server.acquire('k', { waitMs: 0 }, { headers: first?.headers });
      return status === 404;
    });
    for (const { id } of others) {
      const resumed = await server.openSession(id);
      expect(resumed.id).toBe(id);
      resumed.stream.close();
    }
    const resumed = await server.with(other).openSession(theirs.id);
    expect(resumed.id).toBe(theirs.id);
    resumed.stream.close();
  });

  test('go on at another server', async () => {
    await using services = new Semaphores(options());
    const open = () => services.open();
    const options2 = { sessionGraceMs: 1000 };
    const store = options();
    if (!('redis' in store)) return;
    await using one = await LockServer.start(open(), options2);
    await using two = await LockServer.start(open(), options2);
    const { stream, id, headers } = await one.openSession();
    const keys = ['k', `long ${'ü'.repeat(250)}`];
    for (const key of keys) await one.acquire(key, {}, { headers });
    expect((await one.call('GET', '/v1/semaphores')).body['keys']).toHaveLength(2);
    const resumed = await two.openSession(id);
    expect(resumed.id).toBe(id);
    stream.close();
    await sleep(2500);
    for (const key of keys) {
      expect((await two.inspect(key)).body['held']).toBe(1);
      expect((await one.acquire(key, { waitMs: 0 })).status).toBe(429);
    }
    expect((await two.acquire('more', {}, { headers })).status).toBe(201);
    resumed.stream.close();
    for (const key of [...keys, 'more']) {
      expect((await one.acquire(key, { waitMs: 5000 })).status).toBe(201);
    }
  });
});

test('who holds permits in a session is told while Redis is away that their leases are over', async () => {
  await using services = new Semaphores({ redis: redis.url });
  const grace = { sessionGraceMs: 1000 };
  await using plain = await LockServer.start(services.open());
  await using former = await LockServer.start(services.open(), grace);
  await using resumed = await LockServer.start(services.open(), grace);
  const here = await plain.openSession();
  const there = await former.openSession();
  const ask = async (server: LockServer, key: string, { headers }: typeof here) =>
    (await server.acquire(key, { leaseMs: 1000 }, { headers })).body['id'];
  const [here1, there1] = [await ask(plain, 'here', here), await ask(former, 'there', there)];
  const { stream } = await resumed.openSession(there.id);
  const events = await plain.stream('/v1/events');
  // The renewal of who resumes has come through.
  await resumed.inspect('there');
  redis.pause();
  try {
    expect(await here.stream.until('lost')).toEqual({ key: 'here', id: here1 });
    expect(await stream.until('lost')).toEqual({ key: 'there', id: there1 });
    expect(await events.until('lost')).toMatchObject({ permitId: here1, reason: 'expired' });
  } finally {
    redis.resume();
  }
  here.stream.close();
  there.stream.close();
  stream.close();
  events.close();
});

test('a session goes on at its server while Redis is away', async () => {
  await using services = new Semaphores({ redis: redis.url, storeTimeoutMs: 200 });
  await using server = await LockServer.start(services.open(), { sessionGraceMs: 60_000 });
  const { stream, id } = await server.openSession();
  redis.pause();
  try {
    const resumed = await server.openSession(id);
    expect(resumed.id).toBe(id);
    resumed.stream.close();
  } finally {
    redis.resume();
  }
  stream.close();
});

test('events tell that the store is down, and none of its words', async () => {
  await using services = new Semaphores({ redis: redis.url, storeTimeoutMs: 200 });
  await using server = await LockServer.start(services.open());
  const events = await server.stream('/v1/events');
  redis.pause();
  try {
    expect((await server.inspect('k')).status).toBe(503);
    const told = await events.until('store-down');
    expect(told).toEqual({ type: 'store-down', at: expect.any(Number) });
  } finally {
    redis.resume();
  }
  events.close();
});

test('a server that closes ends its streams and gives back what its sessions hold', async () => {
  await using services = new Semaphores({});
  const semaphores = services.open();
  const server = await LockServer.start(semaphores);
  const { stream, headers } = await server.openSession();
  const events = await server.stream('/v1/events');
  await server.acquire('k', {}, { headers });
  const waiting = server.acquire('k', { waitMs: null });
  await nextEvent(semaphores, 'waiting');
  const isClosed = once(server.http, 'close');
  const ended = server[Symbol.asyncDispose]();
  expect(await stream.next()).toBeUndefined();
  await events.until('released');
  await Promise.allSettled([waiting, ended, isClosed]);
  expect(await semaphores.inspect('k')).toMatchObject({ held: 0, waiters: [] });
});

test('who waits is told whether the session has ended or the server shuts down', async () => {
  await using services = new Semaphores({});
  const semaphores = services.open();
  await using server = await LockServer.start(semaphores);
  const reasons: unknown[] = [];
  semaphores.events.subscribe((event) => event.type === 'rejected' && reasons.push(event.reason));
  const held = await semaphores.acquire('k');
  const [ended, open] = [await server.openSession(), await server.openSession()];
  const ask = async (headers: Record<string, string> = {}) => {
    const isQueued = nextEvent(semaphores, 'waiting');
    const answer = server.acquire('k', { waitMs: null }, { headers });
    await isQueued;
    return { answer };
  };
  const [first, second, third] = [await ask(ended.headers), await ask(open.headers), await ask()];
  ended.stream.close();
  const aborted = { status: 503, body: { code: 'SEMAPHORE_ABORTED' } };
  expect(await first.answer).toMatchObject(aborted);
  await server.shutDown();
  const closed = { status: 503, body: { code: 'SEMAPHORE_CLOSED', retryAfterMs: 1000 } };
  expect(await second.answer).toMatchObject(closed);
  expect(await third.answer).toMatchObject(closed);
  expect(reasons).toEqual(['aborted', 'closed', 'closed']);
  const late = await server.acquire('other');
  expect(late).toMatchObject(closed);
  expect(late.headers.get('connection')).toBe('close');
  for (const path of ['/v1/sessions', '/v1/events']) {
    await expect(server.stream(path)).rejects.toThrow('answered 503');
  }
  await held.release();
});

test('a session that ends leaves alone what is asked for since under the requestId of its permit', async () => {
  await using services = new Semaphores({});
  const semaphores = services.open();
  await using server = await LockServer.start(semaphores);
  const { stream, headers } = await server.openSession();
  const first = await server.acquire('k', { requestId: 'r' }, { headers });
  await server.release('k', first.body['id']);
  const held = await semaphores.acquire('k');
  const { outcome } = await queued(semaphores, () => server.acquire('k', { requestId: 'r' }));
  stream.close();
  await pollUntil('the session is over', async () => {
    return (await server.acquire('l', {}, { headers })).status === 404;
  });
  await held.release();
  expect((await outcome).status).toBe(201);
});

test('events tell each caller of its own semaphores', async () => {
  await using services = new Semaphores({});
  const mine = { key: 'prefixed-key-0123456789', prefixes: ['mine:'] };
  const all = 'admin-key-0123456789';
  await using server = await LockServer.start(services.open(), { apiKeys: [all, mine] });
  const stream = await server.with(mine.key).stream('/v1/events');
  await server.acquire('other:k');
  const { body } = await server.acquire('mine:k');
  await server.release('mine:k', body['id']);
  expect(await stream.next()).toMatchObject({ event: 'acquired', data: { key: 'mine:k' } });
  expect(await stream.next()).toMatchObject({
    event: 'released',
    data: { key: 'mine:k', permitId: body['id'], outcome: 'released' },
  });
  stream.close();
});
