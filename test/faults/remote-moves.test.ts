import { describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { SemaphoreService } from 'nestjs-semaphore';
import { RemoteSemaphoreStore } from 'nestjs-semaphore/client';
import { ADMIN_KEY, LockServer } from '../support/lock-server.js';
import { LockServerProcess } from '../support/lock-server-process.js';
import { LateCopy } from '../support/faults/late-copy.js';
import { TcpProxy } from '../support/faults/tcp-proxy.js';
import { useRedis } from '../support/redis-server.js';
import { nextEvent, queued, Semaphores } from '../support/semaphores.js';
import { uniquePrefix } from '../support/unique-prefix.js';

/** Within it the server asks the store what became of those who wait. */
const POLLED_WITHIN_MS = 1500;

describe('a client that waits and has gone on at another server', () => {
  const redis = useRedis();

  it('holds what it gets there for as long as it was told', async () => {
    await using place = await Place.start(redis.url, 20_000);
    const { client, direct } = place;
    const held = await client.acquire('k');
    const waiting = await queued(client, () => client.acquire('k', { leaseMs: 60_000 }));
    await place.move();
    await held.release();
    const next = await waiting.outcome;
    await sleep(POLLED_WITHIN_MS + 300);
    const { holders } = await direct.inspect('k');
    expect(holders).toMatchObject([{ id: next.id, expiresAt: next.expiresAt }]);
    await next.release();
  });

  it('keeps a permit that never ends by itself when the first server gives it up', async () => {
    const graceMs = 1500;
    await using place = await Place.start(redis.url, graceMs);
    const { client, direct } = place;
    const held = await direct.acquire('k');
    const wish = { leaseMs: Infinity };
    const waiting = await queued(client, () => client.acquire('k', wish));
    await place.move();
    await held.release();
    const next = await waiting.outcome;
    await sleep(graceMs + 300);
    expect((await direct.inspect('k')).holders).toMatchObject([{ id: next.id }]);
    expect(next.isHeld).toBe(true);
    await next.release();
  });

  it('leaves no permit taken that it waited for at the first one and gave up', async () => {
    await using place = await Place.start(redis.url, 20_000);
    const { client, direct } = place;
    const held = await client.acquire('k');
    const giveUp = new AbortController();
    const wish = { leaseMs: Infinity, signal: giveUp.signal };
    const waiting = await queued(client, () => client.acquire('k', wish));
    await place.move();
    giveUp.abort();
    await expect(waiting.outcome).rejects.toMatchObject({ code: 'SEMAPHORE_ABORTED' });
    // The first server asks for it, and may put it back.
    await sleep(POLLED_WITHIN_MS + 300);
    await held.release();
    await (await direct.acquire('k', { waitMs: 1000 })).release();
  });

  it('does so in time when the first server stands still, and gets nothing late of what that could not read', async () => {
    const own = { redis: redis.url, keyPrefix: uniquePrefix() };
    await using services = new Semaphores(own);
    await using first = await LockServerProcess.start(own);
    await using second = await LockServer.start(services.open());
    const url = [first.url, second.url];
    const store = new RemoteSemaphoreStore({ url, apiKey: ADMIN_KEY, graceMs: 500 });
    await using clients = new Semaphores({ store });
    const client = clients.open();
    await client.acquire('other');
    first.pause();
    const permit = await client.acquire('k', { leaseMs: Infinity });
    await permit.release();
    first.resume();
    // By then it has read what lay there, and Redis has done what it asked for.
    for (let i = 0; i < 3; i++) await first.call('GET', '/health');
    expect((await services.open().inspect('k')).holders).toEqual([]);
  });

  it('holds what it got there although the first server asks for it late', async () => {
    await using services = new Semaphores({ redis: redis.url });
    await using line = await LateCopy.start(redis.port);
    await using first = await LockServer.start(services.open({ redis: line.url }));
    await using second = await LockServer.start(services.open());
    await using entrance = await TcpProxy.start(Number(new URL(first.url).port));
    const url = [entrance.url.replace('redis:', 'http:'), second.url];
    const store = new RemoteSemaphoreStore({ url, apiKey: ADMIN_KEY, graceMs: 20_000 });
    await using clients = new Semaphores({ store });
    const client = clients.open();
    await client.inspect('k');
    const stalled = line.stall(/A1,1,60000,/);
    const asked = client.acquire('k', { leaseMs: 60_000 });
    await stalled;
    await entrance[Symbol.asyncDispose]();
    const permit = await asked;
    line.deliver();
    await sleep(500);
    const { holders } = await services.open().inspect('k');
    expect(holders).toMatchObject([{ id: permit.id, expiresAt: permit.expiresAt }]);
  });
});

/** A client of two servers, and a process on their Redis. */
class Place implements AsyncDisposable {
  readonly client: SemaphoreService;
  readonly direct: SemaphoreService;

  private constructor(
    private readonly services: Semaphores,
    private readonly servers: readonly LockServer[],
    /** Before the first server. */
    private readonly proxy: TcpProxy,
    graceMs: number,
  ) {
    const entrance = proxy.url.replace('redis:', 'http:');
    const url = [entrance, ...servers.slice(1).map((server) => server.url)];
    const store = new RemoteSemaphoreStore({ url, apiKey: ADMIN_KEY, graceMs });
    this.client = new SemaphoreService({ store, log: 'none' });
    this.direct = services.open();
  }

  static async start(redis: string, graceMs: number): Promise<Place> {
    const services = new Semaphores({ redis });
    const first = await LockServer.start(services.open());
    const second = await LockServer.start(services.open());
    const proxy = await TcpProxy.start(Number(new URL(first.url).port));
    return new Place(services, [first, second], proxy, graceMs);
  }

  /** Cuts the client off from the first server. Resolves when it has gone on at the second one. */
  async move(): Promise<void> {
    const isBack = nextEvent(this.client, 'store-up');
    await this.proxy[Symbol.asyncDispose]();
    await isBack;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    await this.proxy[Symbol.asyncDispose]();
    await Promise.all(this.servers.map((server) => server[Symbol.asyncDispose]()));
    await this.services[Symbol.asyncDispose]();
  }
}
