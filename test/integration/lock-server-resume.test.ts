import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, jest, test } from '@jest/globals';
import { MemorySemaphoreStore, SemaphoreService, StoreUnavailableError } from 'nestjs-semaphore';
import { createSemaphoreServer } from 'nestjs-semaphore/server';
import { VirtualClock } from 'nestjs-semaphore/testing';
import { internalsOf } from '../../lib/service-internals.js';
import { COMMANDS, rules } from '../support/faults/acl.js';
import { ADMIN_KEY, LockClient, LockServer } from '../support/lock-server.js';
import { pollUntil, withRedis } from '../support/redis-admin.js';
import { useRedis } from '../support/redis-server.js';
import { type EventOf, Semaphores } from '../support/semaphores.js';

const redis = useRedis();

describe('a session with a grace time', () => {
  test('goes on with long leases as soon as its client is back, however late that is', async () => {
    const clock = new VirtualClock();
    const semaphores = new SemaphoreService({ store: new MemorySemaphoreStore({ clock }) });
    await using server = await LockServer.start(semaphores, { sessionGraceMs: 60_000 });
    const { stream, id, headers } = await server.openSession();
    await server.acquire('k', { leaseMs: 120_000 }, { headers });
    const leaseMs = async (): Promise<number> => {
      const { holders } = await semaphores.inspect('k');
      return (holders[0]?.expiresAt ?? 0) - clock.wallTime();
    };
    stream.close();
    await pollUntil('it is missed', async () => (await leaseMs()) <= 60_000);
    await clock.advance(59_000);
    const resumed = await server.openSession(id);
    await pollUntil('its leases are long again', async () => (await leaseMs()) > 60_000);
    await clock.advance(60_000);
    expect((await server.acquire('more', {}, { headers })).status).toBe(201);
    resumed.stream.close();
    await semaphores.close();
  });

  test('is told of the end of a lease that is not renewed although its client is back', async () => {
    const clock = new VirtualClock();
    const semaphores = new SemaphoreService({ store: new MemorySemaphoreStore({ clock }) });
    await using server = await LockServer.start(semaphores, { sessionGraceMs: 60_000 });
    const { stream, id, headers } = await server.openSession();
    const { body } = await server.acquire('k', { leaseMs: 120_000 }, { headers });
    stream.close();
    await pollUntil('it is missed', async () => {
      const { holders } = await semaphores.inspect('k');
      return (holders[0]?.expiresAt ?? 0) - clock.wallTime() <= 60_000;
    });
    await clock.advance(50_000);
    const { permitsById } = internalsOf(semaphores);
    jest.spyOn(permitsById, 'renew').mockReturnValue(new Promise(() => undefined));
    const resumed = await server.openSession(id);
    const lost = resumed.stream.until('lost');
    await clock.advance(10_000);
    expect(await lost).toEqual({ key: 'k', id: body['id'] });
    resumed.stream.close();
    await semaphores.close();
  });

  test('leaves nothing behind in the service when its server closes', async () => {
    const clock = new VirtualClock();
    const semaphores = new SemaphoreService({ store: new MemorySemaphoreStore({ clock }) });
    const stopListening = jest.fn();
    jest.spyOn(internalsOf(semaphores).permitsById, 'onForced').mockReturnValue(stopListening);
    await using server = await LockServer.start(semaphores, { sessionGraceMs: 60_000 });
    const { stream } = await server.openSession();
    const before = clock.pendingTimers;
    stream.close();
    await pollUntil('it is missed', async () => clock.pendingTimers > before);
    await server.shutDown();
    expect(clock.pendingTimers).toBe(before);
    expect(stopListening).toHaveBeenCalledTimes(1);
    await semaphores.close();
  });

  test('that is over makes no room for those that wait for their clients', async () => {
    const clock = new VirtualClock();
    const semaphores = new SemaphoreService({ store: new MemorySemaphoreStore({ clock }) });
    const options = { sessionGraceMs: 60_000, maxSessions: 1 };
    await using server = await LockServer.start(semaphores, options);
    const openAndLeave = async () => {
      const { stream, headers } = await server.openSession();
      const before = clock.pendingTimers;
      stream.close();
      await pollUntil('it is missed', async () => clock.pendingTimers > before);
      return headers;
    };
    await openAndLeave();
    await clock.advance(60_000);
    const headers = await openAndLeave();
    await server.openSession().then(({ stream }) => stream.close());
    await pollUntil('the one that waits longer is over', async () => {
      return (await server.acquire('k', { waitMs: 0 }, { headers })).status === 404;
    });
    await semaphores.close();
  });

  test('goes on when it is resumed before the server has missed its old stream', async () => {
    await using services = new Semaphores({ redis: redis.url });
    await using server = await LockServer.start(services.open(), { sessionGraceMs: 1000 });
    const { stream, id, headers } = await server.openSession();
    const { body } = await server.acquire('k', {}, { headers });
    const resumed = await server.openSession(id);
    expect(resumed.id).toBe(id);
    expect(await stream.next()).toBeUndefined();
    await sleep(2500);
    expect((await server.inspect('k')).body['holders']).toMatchObject([{ id: body['id'] }]);
    expect((await server.acquire('more', {}, { headers })).status).toBe(201);
    resumed.stream.close();
  });

  test('keeps what it got at another server when it comes back from there', async () => {
    await using services = new Semaphores({ redis: redis.url });
    await using one = await LockServer.start(services.open(), { sessionGraceMs: 1000 });
    await using other = await LockServer.start(services.open(), { sessionGraceMs: 1000 });
    const { stream, id, headers } = await one.openSession();
    await one.acquire('k', {}, { headers });
    stream.close();
    const there = await other.openSession(id);
    const { body } = await other.acquire('l', {}, { headers });
    there.stream.close();
    const back = await one.openSession(id);
    expect(back.id).toBe(id);
    await sleep(1400);
    expect((await one.inspect('k')).body['held']).toBe(1);
    expect((await one.inspect('l')).body['holders']).toMatchObject([{ id: body['id'] }]);
    back.stream.close();
  });

  test('tells of its permits under their own keys', async () => {
    await using services = new Semaphores({ redis: redis.url });
    const semaphores = services.open();
    const events: Pick<EventOf<'renewed'>, 'type' | 'key' | 'permitId'>[] = [];
    semaphores.events.subscribe((event) => {
      if ('permitId' in event && event.key === 'k') events.push(event as EventOf<'renewed'>);
    });
    await using server = await LockServer.start(semaphores, { sessionGraceMs: 1000 });
    const { stream, headers } = await server.openSession();
    const { body } = await server.acquire('k', {}, { headers });
    await pollUntil('it is renewed', async () => events.some(({ type }) => type === 'renewed'));
    await server.release('k', body['id']);
    expect(events.at(0)).toMatchObject({ type: 'acquired', permitId: body['id'] });
    expect(events.at(-1)).toMatchObject({ type: 'released', permitId: body['id'] });
    stream.close();
  });

  test('does not keep a permit that the client was not told of', async () => {
    await using services = new Semaphores({});
    // Nothing but the semaphore `k`: what the session notes is refused.
    const [on, password, ...rest] = rules(COMMANDS, services.prefix, 'secret');
    const only = ['resetkeys', `~${services.prefix}:{k}*`];
    await withRedis(redis.port, (admin) =>
      admin.acl('SETUSER', 'narrow', on, password as string, ...rest, ...only),
    );
    const url = redis.url.replace('//', '//narrow:secret@');
    const semaphores = services.open({ redis: url });
    await using server = await LockServer.start(semaphores, { sessionGraceMs: 5000 });
    const { stream, id, headers } = await server.openSession();
    expect((await server.acquire('k', { leaseMs: 60_000 }, { headers })).status).toBe(503);
    expect((await server.acquire('k', { waitMs: 4000 })).status).toBe(201);
    const resumed = await server.openSession(id);
    // What it would renew has been answered then.
    await semaphores.inspect('k');
    await server.shutDown();
    expect(await resumed.stream.next()).toBeUndefined();
    stream.close();
  });

  test('tells nothing of what its client has released, or was told of by a renewal', async () => {
    await using services = new Semaphores({});
    const semaphores = services.open();
    await using server = await LockServer.start(semaphores, { sessionGraceMs: 60_000 });
    const { stream, id, headers } = await server.openSession();
    const released = await server.acquire('released', {}, { headers });
    await server.release('released', released.body['id']);
    const ended = await server.acquire('ended', {}, { headers });
    await internalsOf(semaphores).permitsById.release('ended', String(ended.body['id']));
    expect((await server.renew('ended', ended.body['id'], 1000)).status).toBe(410);
    const resumed = await server.openSession(id);
    // What it would renew has been answered then.
    await semaphores.inspect('ended');
    await server.shutDown();
    expect(await resumed.stream.next()).toBeUndefined();
    stream.close();
  });

  test('leaves held what was held before, when it cannot have it', async () => {
    await using services = new Semaphores({});
    const semaphores = services.open();
    await using server = await LockServer.start(semaphores, { sessionGraceMs: 5000 });
    const { body } = await server.acquire('k', { requestId: 'r', leaseMs: 60_000 });
    const { stream, headers } = await server.openSession();
    const away = new StoreUnavailableError('away', 'k');
    jest.spyOn(internalsOf(semaphores).permitsById, 'note').mockRejectedValue(away);
    expect((await server.acquire('k', { requestId: 'r' }, { headers })).status).toBe(503);
    expect((await semaphores.inspect('k')).holders).toMatchObject([{ id: body['id'] }]);
    stream.close();
  });

  test('is not resumed at a server that has closed meanwhile', async () => {
    await using services = new Semaphores({ redis: redis.url });
    await using one = await LockServer.start(services.open(), { sessionGraceMs: 1000 });
    const { headers, stream } = await one.openSession();
    await one.acquire('k', {}, { headers });
    const semaphores = services.open();
    const parts = { semaphores, apiKeys: [ADMIN_KEY], sessionGraceMs: 1000 };
    const server = createSemaphoreServer(parts);
    const http = createServer(server.handler).listen(0, '127.0.0.1');
    await once(http, 'listening');
    const two = new LockClient(`http://127.0.0.1:${(http.address() as AddressInfo).port}`);
    const look = semaphores.inspect.bind(semaphores);
    const isAsked = new Promise<void>((resolve) => {
      jest.spyOn(semaphores, 'inspect').mockImplementation(async (...asked) => {
        resolve();
        await server.close();
        return look(...asked);
      });
    });
    const resumed = two.stream('/v1/sessions', headers);
    await isAsked;
    const isOver = once(http, 'close');
    http.close();
    await expect(resumed).rejects.toThrow('answered 503');
    await isOver;
    stream.close();
  });
});
