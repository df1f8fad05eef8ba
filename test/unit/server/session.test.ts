import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { MemorySemaphoreStore, SemaphoreService, StoreUnavailableError } from 'nestjs-semaphore';
import { VirtualClock } from 'nestjs-semaphore/testing';
import type { EventStream } from '../../../lib/http/event-stream.js';
import { Session } from '../../../lib/server/session.js';
import { noteKey } from '../../../lib/server/session-notes.js';
import { internalsOf } from '../../../lib/service-internals.js';
import { useFakeTimers } from '../../support/fake-timers.js';

const LEASE_MS = 3000;
const PERMIT = { key: 'k', id: 'p', leaseMs: LEASE_MS };
const never = new Promise<never>(() => undefined);

let clock: VirtualClock;
let semaphores: SemaphoreService;

beforeEach(() => {
  useFakeTimers();
  clock = new VirtualClock();
  semaphores = new SemaphoreService({ store: new MemorySemaphoreStore({ clock }), log: 'none' });
});

afterEach(async () => {
  await semaphores.close();
  jest.useRealTimers();
});

function newSession(graceMs: number, owners = new Map<string, Session>()): Session {
  const permits = internalsOf(semaphores).permitsById;
  return new Session('session', 'me', { permits, clock, graceMs, owners });
}

/** A client that listens, and what it is told after the first event. */
function listen(session: Session): unknown[] {
  const told: unknown[] = [];
  const send = (event: string, data: unknown): unknown => told.push([event, data]);
  session.open({ send, close: () => undefined } as unknown as EventStream);
  told.length = 0;
  return told;
}

/** @returns until when it is certainly held */
async function takePermit({ key, id, leaseMs } = PERMIT): Promise<number> {
  const internals = internalsOf(semaphores);
  const grant = await internals.permitsById.acquire(key, id, internals.resolveUnkept({ leaseMs }));
  return grant.deadline;
}

/** Lets time pass for the store and for intervals. */
async function pass(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 500) {
    await clock.advance(500);
    jest.advanceTimersByTime(500);
  }
}

test('what a session got at another server is renewed from the moment its client is here', async () => {
  await takePermit();
  const session = newSession(60_000);
  session.adopt(PERMIT);
  for (let round = 0; round < 2; round++) {
    listen(session);
    await pass(2 * LEASE_MS);
    session.pause();
  }
  expect(await semaphores.inspect('k')).toMatchObject({ held: 1 });
  await session.end();
});

test('a session neither renews nor loses anything while its client is away', async () => {
  const late = { ...PERMIT, key: 'late', id: 'l' };
  const session = newSession(LEASE_MS);
  listen(session);
  await session.add(PERMIT, await takePermit());
  session.pause();
  session.adopt(late, await takePermit(late));
  await pass(LEASE_MS);
  for (const { key, id } of [PERMIT, late]) {
    expect(await semaphores.inspect(key)).toMatchObject({ held: 0 });
    // Another server may have renewed it.
    expect(session.holds(key, id)).toBe(true);
  }
  await session.end();
});

test('permits are renewed as often as the shortest lease needs it', async () => {
  const session = newSession(0);
  listen(session);
  const long = { key: 'long', id: 'l', leaseMs: 60_000 };
  for (const permit of [PERMIT, long]) await session.add(permit, await takePermit(permit));
  await pass(2 * LEASE_MS);
  expect(await semaphores.inspect('k')).toMatchObject({ held: 1 });
  await session.end();
});

test('a session outlasts a server that makes its leases as short as the grace time, late', async () => {
  const session = newSession(1000);
  listen(session);
  await session.add(PERMIT, await takePermit({ ...PERMIT, leaseMs: 5000 }));
  await pass(2000);
  await internalsOf(semaphores).permitsById.leave(PERMIT.key, PERMIT.id, 1000);
  await pass(1000);
  expect(await semaphores.inspect('k')).toMatchObject({ held: 1 });
  await session.end();
});

test('a client that is back is told of a lease that may have become as short as the grace time', async () => {
  const long = { ...PERMIT, leaseMs: 60_000 };
  const session = newSession(LEASE_MS);
  listen(session);
  await session.add(long, await takePermit(long));
  const { permitsById } = internalsOf(semaphores);
  jest.spyOn(permitsById, 'leave').mockReturnValue(never);
  jest.spyOn(permitsById, 'renew').mockReturnValue(never);
  session.pause();
  const told = listen(session);
  await pass(LEASE_MS);
  expect(told).toEqual([['lost', { key: long.key, id: long.id }]]);
  await session.end();
});

test('a client is told of each lease that ends', async () => {
  const longer = { key: 'longer', id: 'l', leaseMs: LEASE_MS + 500 };
  const session = newSession(0);
  const told = listen(session);
  for (const permit of [PERMIT, longer]) await session.add(permit, await takePermit(permit));
  await clock.advance(longer.leaseMs);
  expect(told).toMatchObject([
    ['lost', { key: 'k' }],
    ['lost', { key: 'longer' }],
  ]);
  await session.end();
});

test('a permit belongs to the session that has asked for it last', async () => {
  const deadline = await takePermit();
  const owners = new Map<string, Session>();
  const [first, last] = [newSession(0, owners), newSession(0, owners)];
  for (const session of [first, last]) await session.add(PERMIT, deadline);
  expect(owners.get(PERMIT.id)).toBe(last);
  expect(first.holds(PERMIT.key, PERMIT.id)).toBe(false);
  await last.end();
});

test('what a session gets while its client is away is noted for the grace time', async () => {
  const long = { ...PERMIT, leaseMs: 60_000 };
  const session = newSession(LEASE_MS);
  session.pause();
  await session.add(long, await takePermit(long));
  const { holders } = await semaphores.inspect(noteKey('session'));
  expect(holders).toMatchObject([{ expiresAt: clock.wallTime() + LEASE_MS }]);
});

test('a permit that was to be held for a while stays taken when its session ends', async () => {
  const permit = { ...PERMIT, id: `p-h${LEASE_MS.toString(36)}` };
  const session = newSession(0);
  await session.add(permit, await takePermit(permit));
  await session.end();
  await clock.advance(LEASE_MS - 1);
  expect(await semaphores.inspect('k')).toMatchObject({ held: 1 });
});

test('a session that has ended takes no permit', async () => {
  const deadline = await takePermit();
  const owners = new Map<string, Session>();
  const session = newSession(0, owners);
  await session.end();
  expect(await session.add(PERMIT, deadline)).toBe(false);
  expect(owners.size).toBe(0);
});

test('a session that ends while its permit is noted does not have it', async () => {
  const deadline = await takePermit();
  const session = newSession(60_000);
  listen(session);
  const added = session.add(PERMIT, deadline);
  await session.end();
  expect(await added).toBe(false);
});

test('an answer that is older than a renewal takes nothing from its lease', async () => {
  const deadline = await takePermit();
  const session = newSession(0);
  const told = listen(session);
  await session.add(PERMIT, deadline);
  await pass(LEASE_MS / 2);
  const { permitsById } = internalsOf(semaphores);
  jest.spyOn(permitsById, 'renew').mockReturnValue(never);
  await session.add(PERMIT, deadline);
  await pass(LEASE_MS / 2);
  expect(told).toEqual([]);
  await session.end();
});

test('a session that has ended leaves nothing behind', async () => {
  const deadline = await takePermit();
  const timers = [jest.getTimerCount(), clock.pendingTimers];
  const owners = new Map<string, Session>();
  const session = newSession(0, owners);
  const close = jest.fn();
  session.open({ send: () => undefined, close } as unknown as EventStream);
  await session.add(PERMIT, deadline);
  await session.end();
  expect(await semaphores.inspect('k')).toMatchObject({ held: 0 });
  expect(close).toHaveBeenCalledTimes(1);
  expect(owners.size).toBe(0);
  expect([jest.getTimerCount(), clock.pendingTimers]).toEqual(timers);
});

test('what a session has given back is not noted any more', async () => {
  const session = newSession(60_000);
  await session.add(PERMIT, await takePermit());
  expect(await semaphores.inspect(noteKey('session'))).toMatchObject({ held: 1 });
  session.drop(PERMIT.id);
  expect(await semaphores.inspect(noteKey('session'))).toMatchObject({ held: 0 });
});

test('what a session cannot give back at its end is taken back later', async () => {
  const deadline = await takePermit();
  const { permitsById } = internalsOf(semaphores);
  const session = newSession(0);
  await session.add(PERMIT, deadline);
  jest.spyOn(permitsById, 'release').mockRejectedValueOnce(new StoreUnavailableError('away', 'k'));
  await session.end();
  await clock.advance(1000);
  expect(await semaphores.inspect('k')).toMatchObject({ held: 0 });
});
