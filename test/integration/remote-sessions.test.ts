import { setImmediate } from 'node:timers/promises';
import { describe, expect, jest, test } from '@jest/globals';
import { MemorySemaphoreStore, SemaphoreService, StoreUnavailableError } from 'nestjs-semaphore';
import { RemoteSemaphoreStore } from 'nestjs-semaphore/client';
import type { SemaphoreServerParts } from 'nestjs-semaphore/server';
import { VirtualClock } from 'nestjs-semaphore/testing';
import { internalsOf } from '../../lib/service-internals.js';
import type { StoreClient, StoreSession } from '../../lib/store/semaphore-store.js';
import {
  ADMIN_KEY,
  type EventReader,
  type HttpAnswer,
  LockServer,
} from '../support/lock-server.js';
import { pollUntil } from '../support/redis-admin.js';
import { nextEvent, Semaphores } from '../support/semaphores.js';

const GRACE_MS = 1000;

type Wish = { key?: string; leaseMs?: number | null; wait?: boolean };
type Result = { value: unknown } | { error: { message: string; nothingDone: boolean } };

/** A store in memory, of which a test has the sessions. */
class OpenStore extends MemorySemaphoreStore {
  readonly clients: StoreClient[] = [];
  readonly sessions: StoreSession[] = [];

  override connect(client: StoreClient, clientId?: string): StoreSession {
    const session = super.connect(client, clientId);
    this.clients.push(client);
    this.sessions.push(session);
    return session;
  }
}

/** A server, and clients of it that say no more than a test tells them to. */
class Place implements AsyncDisposable {
  readonly clock = new VirtualClock();
  readonly store = new OpenStore({ clock: this.clock });
  readonly semaphores = new SemaphoreService({ store: this.store, log: 'none' });
  private server: LockServer | undefined;

  static async start(options: Partial<SemaphoreServerParts> = {}): Promise<Place> {
    const place = new Place();
    place.server = await LockServer.start(place.semaphores, options);
    return place;
  }

  get http(): LockServer {
    return this.server as LockServer;
  }

  client(secret = 's', apiKey = ADMIN_KEY): RawClient {
    return new RawClient(this, secret.padEnd(43, '0'), apiKey);
  }

  /** Who holds the key, and for how long. */
  async held(key = 'k'): Promise<Record<string, number>> {
    const { holders } = await this.semaphores.inspect(key);
    const now = this.clock.wallTime();
    return Object.fromEntries(holders.map(({ id, expiresAt }) => [id, expiresAt - now]));
  }

  async waiting(key = 'k'): Promise<string[]> {
    return (await this.semaphores.inspect(key)).waiters.map(({ id }) => id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server?.[Symbol.asyncDispose]();
    await this.semaphores.close();
  }
}

class RawClient {
  constructor(
    private readonly place: Place,
    private readonly secret: string,
    private readonly apiKey: string,
  ) {}

  headers(graceMs: number): Record<string, string> {
    const grace = { 'x-store-grace': String(graceMs) };
    return { 'x-store-session': this.secret, 'x-store-client': 'test:1', ...grace };
  }

  async open(graceMs = GRACE_MS): Promise<EventReader> {
    const stream = await this.place.http
      .with(this.apiKey)
      .stream('/v1/store', this.headers(graceMs));
    expect(await stream.next()).toMatchObject({ event: 'open' });
    return stream;
  }

  /** Breaks the stream. Resolves when the server has noticed. */
  async leave(stream: EventReader): Promise<void> {
    stream.close();
    const other = this.apiKey === ADMIN_KEY ? 'other-key-0123456789' : ADMIN_KEY;
    // The session is another caller's: that is looked at behind whether it is open, and is no sign of life of its own.
    const probe = new RawClient(this.place, this.secret, other);
    await pollUntil('its end is noticed', async () => (await probe.post([])).status === 409);
  }

  post(calls: object[]): Promise<HttpAnswer> {
    const headers = this.headers(GRACE_MS);
    return this.place.http.with(this.apiKey).call('POST', '/v1/store', { calls }, { headers });
  }

  async end(): Promise<void> {
    const headers = this.headers(GRACE_MS);
    await this.place.http.with(this.apiKey).call('DELETE', '/v1/store', undefined, { headers });
  }

  async call(call: object): Promise<Result> {
    const { body } = await this.post([call]);
    return (body['results'] as Result[])[0] as Result;
  }

  acquire(id: string, { key = 'k', leaseMs = 60_000, wait = true }: Wish = {}): Promise<Result> {
    const limits = { permits: 1, weight: 1, priority: 0, maxWaiting: null };
    return this.call({ op: 'acquire', key, id, leaseMs, wait, ...limits });
  }

  release(id: string, key = 'k'): Promise<Result> {
    return this.call({ op: 'release', key, id, holdAtLeastMs: 0, lastToken: 0 });
  }
}

const OPTIONS = { apiKeys: [ADMIN_KEY, 'other-key-0123456789'] };
const granted = { value: { status: 'granted' } };
const waits = { value: { status: 'waiting' } };
const full = { error: { code: 'TOO_MANY_PERMITS', nothingDone: true } };

describe('the stream of a remote session', () => {
  test('takes the place of the one before, which ends', async () => {
    await using place = await Place.start(OPTIONS);
    const client = place.client();
    const first = await client.open();
    const second = await client.open();
    expect(await first.next()).toBeUndefined();
    expect((await client.post([])).status).toBe(200);
    second.close();
  });

  test('ends with the session, whose permits stay for their leases, and whose waiters go', async () => {
    await using place = await Place.start({ ...OPTIONS, maxSessions: 1 });
    const client = place.client();
    const stream = await client.open();
    await client.acquire('a');
    await client.acquire('b');
    await client.end();
    expect(await stream.next()).toBeUndefined();
    expect((await client.post([])).status).toBe(409);
    expect(await place.held()).toEqual({ a: 60_000 });
    expect(await place.waiting()).toEqual([]);
    // Another has room now.
    (await place.client('t').open()).close();
  });

  test.each([
    [1, 500],
    [700, 700],
    [999_999_999, 60_000],
  ])('is kept for a grace time within bounds: of %i %i', async (wanted, graceMs) => {
    await using place = await Place.start(OPTIONS);
    const headers = place.client().headers(wanted);
    const stream = await place.http.stream('/v1/store', headers);
    expect(await stream.until('open')).toMatchObject({ graceMs });
    stream.close();
  });

  test('tells what is away when it is opened', async () => {
    await using place = await Place.start(OPTIONS);
    const client = place.client();
    (await client.open()).close();
    const session = place.store.clients.at(-1);
    session?.down(new Error('gone'));
    const away = await client.open();
    expect(await away.next()).toEqual({ event: 'down', data: { message: 'gone' } });
    session?.up();
    expect(await away.next()).toMatchObject({ event: 'up' });
    const back = await client.open();
    session?.failed('k', 'a', new Error('m'));
    expect(await back.next()).toMatchObject({ event: 'failed' });
    back.close();
  });

  test('is refused by a server that shuts down, which leaves no timer', async () => {
    await using place = await Place.start(OPTIONS);
    const client = place.client();
    const stream = await client.open();
    await client.leave(stream);
    await place.http.shutDown();
    const headers = client.headers(GRACE_MS);
    expect((await place.http.call('GET', '/v1/store', undefined, { headers })).status).toBe(503);
    await place.semaphores.close();
    expect(place.clock.pendingTimers).toBe(0);
  });
});

test('a server that closes waits until it has ended sessions whose clients are gone', async () => {
  await using place = await Place.start(OPTIONS);
  const client = place.client();
  await client.leave(await client.open());
  const session = place.store.sessions.at(-1) as StoreSession;
  const close = session.close.bind(session);
  let goOn: () => void = () => undefined;
  const isLate = new Promise<void>((resolve) => (goOn = resolve));
  session.close = () => isLate.then(close);
  await place.clock.advance(GRACE_MS);
  let isClosed = false;
  const closed = place.http.shutDown().then(() => (isClosed = true));
  await setImmediate();
  expect(isClosed).toBe(false);
  goOn();
  await closed;
});

describe('what a remote session holds whose stream is broken', () => {
  test('ends with the grace time, and what it waited for is nobody else’s to wait for', async () => {
    await using place = await Place.start({ ...OPTIONS, maxSessions: 1 });
    const client = place.client();
    const stream = await client.open();
    await place.clock.advance(GRACE_MS);
    await client.acquire('long');
    await client.acquire('short', { key: 'l', leaseMs: 300 });
    const permit = await place.semaphores.acquire('m');
    expect(await client.acquire('waiter', { key: 'm' })).toEqual(waits);
    await client.leave(stream);
    expect([await place.held(), await place.held('l')]).toEqual([
      { long: GRACE_MS },
      { short: 300 },
    ]);
    await place.clock.advance(GRACE_MS);
    expect([await place.held(), await place.waiting('m')]).toEqual([{}, []]);
    await permit.release();
    (await place.client('t').open()).close();
  });

  test('is its own again when it is back in time', async () => {
    await using place = await Place.start(OPTIONS);
    const client = place.client();
    const stream = await client.open();
    await client.acquire('a');
    await client.acquire('b');
    await client.leave(stream);
    const again = await client.open();
    await place.clock.advance(GRACE_MS);
    expect(await place.waiting()).toEqual([]);
    expect(await again.next()).toMatchObject({ event: 'granted', data: { id: 'b' } });
    expect(await place.held()).toEqual({ b: 60_000 });
    expect((await client.post([])).status).toBe(200);
    again.close();
  });

  test('may be endless: then it ends only when its client cannot have heard of it', async () => {
    for (const isBack of [false, true]) {
      await using place = await Place.start(OPTIONS);
      const client = place.client();
      let stream = await client.open();
      const endless = { leaseMs: null };
      const permit = await place.semaphores.acquire('k');
      expect(await client.acquire('known', { key: 'l', leaseMs: null })).toMatchObject(granted);
      expect(await client.acquire('late', endless)).toEqual(waits);
      const session = place.store.sessions.at(-1) as StoreSession;
      const renew = session.renew.bind(session);
      let goOn: () => void = () => undefined;
      const isLate = new Promise<void>((resolve) => (goOn = resolve));
      const isAsked = new Promise<void>((resolve) => {
        session.renew = (...args) => {
          resolve();
          return isLate.then(() => renew(...args));
        };
      });
      const renewing = client.call({ op: 'renew', key: 'l', id: 'known', leaseMs: null });
      await isAsked;
      await client.leave(stream);
      goOn();
      await renewing;
      await permit.release();
      expect(await place.held()).toEqual({ late: Infinity });
      if (isBack) {
        stream = await client.open();
        await client.leave(stream);
      }
      await place.clock.advance(GRACE_MS);
      expect(await place.held('l')).toEqual({ known: Infinity });
      expect(await place.held()).toEqual(isBack ? { late: Infinity } : {});
    }
  });

  test('has a lease as short as the grace time when it is granted only then', async () => {
    await using place = await Place.start(OPTIONS);
    const client = place.client();
    const stream = await client.open();
    const permit = await place.semaphores.acquire('k');
    await client.acquire('late');
    await client.leave(stream);
    const session = place.store.sessions.at(-1) as StoreSession;
    const renewed = jest.spyOn(session, 'renew');
    await permit.release();
    expect(await place.held()).toEqual({ late: GRACE_MS });
    expect(renewed).toHaveBeenCalledTimes(1);
    // One that ends by itself, unless the client has claimed it at another server.
    const lease = { expiresAt: 60_000, deadline: 60_000, acquiredAt: 0 };
    const grant = { ...lease, fencingToken: 1, permits: 1, provisional: true };
    place.store.clients.at(-1)?.granted('k', 'provisional', grant);
    expect(renewed).toHaveBeenCalledTimes(1);
  });
});

describe('how much a remote session may wait for and hold', () => {
  test('is bounded, and what is over does not count', async () => {
    await using place = await Place.start({ ...OPTIONS, maxOpenWaits: 1 });
    const client = place.client();
    const stream = await client.open(60_000);
    expect(await client.acquire('a')).toMatchObject(granted);
    expect(await client.acquire('b', { key: 'l' })).toMatchObject(full);
    await client.release('a');
    const permit = await place.semaphores.acquire('k');
    expect(await client.acquire('busy', { wait: false })).toMatchObject({
      value: { status: 'busy' },
    });
    expect(await client.acquire('cancelled')).toEqual(waits);
    await client.call({ op: 'cancel', key: 'k', id: 'cancelled' });
    expect(await client.acquire('forced', { key: 'l' })).toMatchObject(granted);
    await place.semaphores.forceRelease('l', 'forced');
    expect(await client.acquire('ended', { key: 'l', leaseMs: 10 })).toMatchObject(granted);
    await place.clock.advance(20);
    await client.call({ op: 'renew', key: 'l', id: 'ended', leaseMs: 10 });
    expect(await client.acquire('lapsed', { key: 'l', leaseMs: 10 })).toMatchObject(granted);
    await place.clock.advance(60_011);
    expect(await client.acquire('last', { key: 'l' })).toMatchObject(granted);
    await permit.release();
    stream.close();
  });
});

test('a remote session that waits for and holds as much as it may keeps it all when its client reconnects', async () => {
  await using place = await Place.start({ ...OPTIONS, maxOpenWaits: 3 });
  const store = new RemoteSemaphoreStore({ url: place.http.url, apiKey: ADMIN_KEY });
  await using semaphores = new Semaphores({ store });
  const client = semaphores.open();
  const held = await client.acquire('k');
  const waiting = ['a', 'b'].map((label) => client.acquire('k', { label, waitMs: Infinity }));
  await pollUntil('two wait', async () => (await place.waiting()).length === 2);
  const isBack = nextEvent(client, 'store-up');
  place.http.http.closeAllConnections();
  await isBack;
  await held.release();
  for (const permit of waiting) await (await permit).release();
});

describe('the answers to a remote session', () => {
  test('have no long result among others, nor has the stream', async () => {
    await using place = await Place.start(OPTIONS);
    const [leader, follower] = [place.client(), place.client('t')];
    const streams = [await leader.open(), await follower.open()];
    await leader.acquire('a');
    const kept = { freshMs: 60_000, staleMs: 0 };
    for (const length of [4096, 4097]) {
      expect(await follower.acquire(`b${length}`)).toEqual(waits);
      const payload = 'v'.repeat(length);
      await leader.call({ op: 'publish', key: 'k', permitId: 'a', payload, ...kept });
      const look = await follower.call({ op: 'look', key: 'k', seen: null });
      const isLong = length > 4096;
      expect(look).toMatchObject({ value: isLong ? { payload: '', isLong } : { payload } });
      const told = await streams[1]?.until('published');
      expect(told?.['payload']).toBe(isLong ? undefined : payload);
    }
    for (const stream of streams) stream.close();
  });

  test('say of a store that fails what is known, and no more', async () => {
    await using place = await Place.start({ ...OPTIONS, maxOpenWaits: 1 });
    const client = place.client();
    const stream = await client.open();
    const permit = await place.semaphores.acquire('k');
    const session = place.store.sessions.at(-1) as StoreSession;
    const { acquire } = session;
    session.acquire = () => Promise.reject(new StoreUnavailableError('away', 'k', undefined, true));
    expect(await client.acquire('a')).toEqual({
      error: { code: 'SEMAPHORE_STORE_UNAVAILABLE', message: 'away', nothingDone: true },
    });
    session.acquire = () => Promise.reject(new Error('a secret'));
    const unknown = { code: 'INTERNAL_ERROR', message: 'the server could not do it' };
    expect(await client.acquire('b')).toEqual({ error: { ...unknown, nothingDone: false } });
    // Nobody knows whether it waits.
    expect(await client.acquire('a')).toMatchObject(full);
    await client.call({ op: 'cancel', key: 'k', id: 'b' });
    session.acquire = acquire;
    expect(await client.acquire('a')).toEqual(waits);
    session.acquire = () => Promise.reject(new StoreUnavailableError('away', 'k', undefined, true));
    expect(await client.acquire('a')).toMatchObject({ error: { message: 'away' } });
    expect(await client.acquire('b')).toMatchObject(full);
    await permit.release();
    stream.close();
  });

  test('list no more keys than are read, and break off where the list does', async () => {
    await using place = await Place.start(OPTIONS);
    let listed = 0;
    let isOver = false;
    const list = async function* (): AsyncGenerator<string> {
      try {
        for (; listed < 200_000; listed++) {
          if (listed % 100 === 0) await setImmediate();
          yield String(listed).padEnd(500, 'x');
        }
        throw new StoreUnavailableError('broken');
      } finally {
        isOver = true;
      }
    };
    internalsOf(place.semaphores).session().list = () => list();
    const aborter = new AbortController();
    const init = { headers: { 'x-api-key': ADMIN_KEY }, signal: aborter.signal };
    const keys = (): Promise<Response> => fetch(`${place.http.url}/v1/store/keys`, init);
    await keys();
    await pollUntil('it stands still', async () => {
      const before = listed;
      for (let i = 0; i < 10; i++) await setImmediate();
      return listed > 0 && listed === before;
    });
    expect(listed).toBeLessThan(100_000);
    aborter.abort();
    await pollUntil('the list is given up', async () => isOver);
    listed = 199_999;
    const { signal: _, ...unsigned } = init;
    const broken = fetch(`${place.http.url}/v1/store/keys`, unsigned).then((answer) =>
      answer.text(),
    );
    await expect(broken).rejects.toThrow();
    expect((await fetch(`${place.http.url}/v1/store/keys`, unsigned)).status).toBe(503);
  });
});
