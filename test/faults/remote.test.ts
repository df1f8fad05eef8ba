import { describe, expect, it } from '@jest/globals';
import { execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { SemaphoreService } from 'nestjs-semaphore';
import { RemoteSemaphoreStore, type RemoteSemaphoreStoreOptions } from 'nestjs-semaphore/client';
import { Cli } from '../support/cli.js';
import { ADMIN_KEY, LockServer } from '../support/lock-server.js';
import { HttpProxy } from '../support/http-proxy.js';
import { TcpProxy } from '../support/faults/tcp-proxy.js';
import { pollUntil } from '../support/redis-admin.js';
import { startRedis, useRedis } from '../support/redis-server.js';
import { nextEvent, rejection, Semaphores } from '../support/semaphores.js';
import { uniquePrefix } from '../support/unique-prefix.js';

const GRACE_MS = 2000;
const WAITER = fileURLToPath(new URL('../support/workers/remote-waiter.mjs', import.meta.url));

describe('a client whose server fails', () => {
  const redis = useRedis();

  const serve = (prefix: string, port = '0') =>
    Cli.serve(['-p', port, '-H', '127.0.0.1', '--redis-url', redis.url, '--key-prefix', prefix]);

  const connect = (options: RemoteSemaphoreStoreOptions) => {
    const store = new RemoteSemaphoreStore({ graceMs: GRACE_MS, ...options });
    const semaphores = new SemaphoreService({ store, log: 'none' });
    return Object.assign(semaphores, { [Symbol.asyncDispose]: () => semaphores.close() });
  };

  const onRedis = (keyPrefix: string) => {
    const semaphores = new SemaphoreService({ redis: redis.url, keyPrefix, log: 'none' });
    return Object.assign(semaphores, { [Symbol.asyncDispose]: () => semaphores.close() });
  };

  const waiting = (semaphores: SemaphoreService, key: string, count: number) =>
    pollUntil(`${count} wait for ${key}`, async () => {
      return (await semaphores.inspect(key)).waiters.length === count;
    });

  it('keeps permits and places when its server is killed and started again', async () => {
    const prefix = uniquePrefix();
    await using direct = onRedis(prefix);
    const first = await serve(prefix);
    const { port } = new URL(first.url);
    await using _one = first.server;
    await using client = connect({ url: first.url, graceMs: 20_000 });
    const held = await client.acquire('k');
    const waits = client.acquire('k', { waitMs: 60_000 });
    await waiting(direct, 'k', 1);

    await first.server.kill();
    const second = await serve(prefix, port);
    await using _two = second.server;

    await held.renew();
    expect(held.isHeld).toBe(true);
    expect(await held.release()).toBe('released');
    const next = await waits;
    expect(next.fencingToken).toBeGreaterThan(held.fencingToken);
    expect(await next.release()).toBe('released');
  });

  it('lives on without its server, though it has nothing to do but to wait', async () => {
    const prefix = uniquePrefix();
    await using direct = onRedis(prefix);
    const held = await direct.acquire('k');
    const first = await serve(prefix);
    await using _one = first.server;
    const waiter = promisify(execFile)(process.execPath, [WAITER, first.url], { timeout: 20_000 });
    await waiting(direct, 'k', 1);
    await first.server.kill();
    const second = await serve(prefix, new URL(first.url).port);
    await using _two = second.server;
    await held.release();
    expect((await waiter).stdout).toContain('released');
  });

  it('goes on when an answer has stopped in its middle', async () => {
    const { server, url } = await serve(uniquePrefix());
    await using _server = server;
    await using proxy = await HttpProxy.start(url);
    await using client = connect({ url: proxy.url, storeTimeoutMs: 500 });
    const succeeds = async (key: string): Promise<boolean> =>
      (await (await client.acquire(key)).release()) === 'released';
    await pollUntil('the client is connected', () => succeeds('k'));

    proxy.isStalling = true;
    await expect(client.acquire('l')).rejects.toThrow('is not available');
    proxy.isStalling = false;

    await pollUntil('calls succeed', () => succeeds('m'));
  });

  it('says that a permit was released when the first reply that said so was lost', async () => {
    const prefix = uniquePrefix();
    await using direct = onRedis(prefix);
    const { server, url } = await serve(prefix);
    await using _ = server;
    await using proxy = await TcpProxy.start(Number(new URL(url).port));
    await using client = connect({ url: proxy.url.replace('redis:', 'http:'), graceMs: 10_000 });
    const held = await client.acquire('k');
    proxy.fault = { dropReplies: true };
    const outcome = held.release();
    await pollUntil('nobody holds', async () => (await direct.inspect('k')).held === 0);
    proxy.heal();
    proxy.cut();
    expect(await outcome).toBe('released');
  });

  it('goes on at another server with what it has, and what the first one shortened stays', async () => {
    const prefix = uniquePrefix();
    await using direct = onRedis(prefix);
    const [first, second] = await Promise.all([serve(prefix), serve(prefix)]);
    await using _one = first.server;
    await using _two = second.server;
    await using proxy = await TcpProxy.start(Number(new URL(first.url).port));
    const entrance = proxy.url.replace('redis:', 'http:');
    await using client = connect({ url: [entrance, second.url] });
    const unrenewed = await client.acquire('k', { renew: false, leaseMs: 60_000 });
    const waits = client.acquire('k', { waitMs: 60_000 });
    await waiting(direct, 'k', 1);

    proxy.cut();
    await proxy[Symbol.asyncDispose]();

    await pollUntil('the lease is a long one again', async () => {
      const [holder] = (await direct.inspect('k')).holders;
      return holder !== undefined && holder.expiresAt - Date.now() > 2 * GRACE_MS;
    });
    await sleep(2 * GRACE_MS);
    expect(unrenewed.isHeld).toBe(true);
    expect((await direct.inspect('k')).holders).toHaveLength(1);
    await unrenewed.release();
    await (await waits).release();
  });

  it('notices nothing when its connections break again and again', async () => {
    const prefix = uniquePrefix();
    await using direct = onRedis(prefix);
    const { server, url } = await serve(prefix);
    await using _ = server;
    await using proxy = await TcpProxy.start(Number(new URL(url).port));
    await using client = connect({ url: proxy.url.replace('redis:', 'http:'), graceMs: 10_000 });
    let inside = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      for (let round = 0; round < 5; round++) {
        await client.withPermit(
          'k',
          async () => {
            most = Math.max(most, ++inside);
            await sleep(5);
            inside--;
          },
          { permits: 3, waitMs: 60_000 },
        );
      }
    };
    const cutting = new AbortController();
    const cuts = (async () => {
      while (!cutting.signal.aborted) {
        await sleep(60);
        proxy.cut();
      }
    })();

    await Promise.all(Array.from({ length: 12 }, work));
    cutting.abort();
    await cuts;

    expect(most).toBeLessThanOrEqual(3);
    await pollUntil('nothing is left', async () => {
      const { holders, waiters } = await direct.inspect('k');
      return holders.length + waiters.length === 0;
    });
  });

  it('counts its permits as lost before the server may give them to others', async () => {
    const prefix = uniquePrefix();
    await using direct = onRedis(prefix);
    const { server, url } = await serve(prefix);
    await using _ = server;
    await using proxy = await TcpProxy.start(Number(new URL(url).port));
    await using client = connect({ url: proxy.url.replace('redis:', 'http:') });
    const held = await client.acquire('k');
    const { signal } = held;
    const next = direct.acquire('k', { waitMs: 30_000 });
    await waiting(direct, 'k', 1);

    proxy.cut();
    await proxy[Symbol.asyncDispose]();

    const isLostFirst = await Promise.race([
      once(signal, 'abort').then(() => true),
      next.then(() => signal.aborted),
    ]);
    expect(isLostFirst).toBe(true);
    expect(signal.reason).toMatchObject({ reason: 'expired' });
    await (await next).release();
  });

  it('frees what a killed process held and waited for within the grace time', async () => {
    const prefix = uniquePrefix();
    await using direct = onRedis(prefix);
    const { server, url } = await serve(prefix);
    await using _ = server;
    const script = new URL('../support/workers/remote-worker.mjs', import.meta.url);
    const worker = fork(script, [url, String(GRACE_MS)]);
    await once(worker, 'message');
    const waits = direct.acquire('k', { waitMs: 30_000 });
    await waiting(direct, 'k', 2);
    const killedAt = performance.now();

    worker.kill('SIGKILL');
    const permit = await waits;

    expect(performance.now() - killedAt).toBeLessThan(GRACE_MS + 6000);
    await permit.release();
    await waiting(direct, 'k', 0);
  });

  it('frees what a killed process held within a second, when its grace time is short', async () => {
    const prefix = uniquePrefix();
    await using direct = onRedis(prefix);
    const { server, url } = await serve(prefix);
    await using _ = server;
    const script = new URL('../support/workers/remote-worker.mjs', import.meta.url);
    const worker = fork(script, [url, '500']);
    await once(worker, 'message');
    const waits = direct.acquire('alone', { waitMs: 30_000 });
    await waiting(direct, 'alone', 1);
    const killedAt = performance.now();

    worker.kill('SIGKILL');
    const permit = await waits;

    expect(performance.now() - killedAt).toBeLessThan(1000);
    await permit.release();
  });

  it('says of a killed server what broke off, and not that the caller aborted', async () => {
    const { server, url } = await Cli.serve(['-p', '0', '-H', '127.0.0.1', '-N']);
    await using _server = server;
    await using client = connect({ url });
    await (await client.acquire('k')).release();
    const isDown = nextEvent(client, 'store-down');
    await server.kill();
    const { error } = await isDown;
    expect(error.message).toContain('the stream of the server broke off');
  });

  it('hears that the store behind the server is away, and when it is back', async () => {
    const prefix = uniquePrefix();
    const own = await startRedis();
    await using _redis = own;
    const { server, url } = await Cli.serve([
      ...['-p', '0', '-H', '127.0.0.1', '--redis-url', own.url, '--key-prefix', prefix],
    ]);
    await using _server = server;
    await using client = connect({ url });
    await (await client.acquire('k')).release();
    const events: string[] = [];
    client.events.subscribe(({ type }) => events.push(type));

    await own.kill();
    await pollUntil('it is down', async () => events.includes('store-down'));
    await own.restart();
    await pollUntil('it is up', async () => events.includes('store-up'));

    await (await client.acquire('k')).release();
  });

  it('may wait for as much as before, once the store behind the server is back', async () => {
    const own = await startRedis();
    await using _redis = own;
    await using services = new Semaphores({ redis: own.url, storeTimeoutMs: 300 });
    await using server = await LockServer.start(services.open(), { maxOpenWaits: 3 });
    await using client = connect({ url: server.url, apiKey: ADMIN_KEY });
    await (await client.acquire('k')).release();
    await own.kill();
    for (let i = 0; i < 5; i++) {
      const refused = { code: 'SEMAPHORE_STORE_UNAVAILABLE' };
      expect(await rejection(client.acquire(`away ${i}`))).toMatchObject(refused);
    }
    const isUp = nextEvent(client, 'store-up');
    await own.restart();
    await isUp;
    const permits = await Promise.all(['a', 'b', 'c'].map((key) => client.acquire(key)));
    await Promise.all(permits.map((permit) => permit.release()));
  });
});
