import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { MemorySemaphoreStore, SemaphoreService } from 'nestjs-semaphore';
import { VirtualClock } from 'nestjs-semaphore/testing';
import type { EventStream } from '../../../lib/http/event-stream.js';
import { Session } from '../../../lib/server/session.js';
import { noteKey } from '../../../lib/server/session-notes.js';
import { internalsOf } from '../../../lib/service-internals.js';

const LEASE_MS = 3000;
const PERMIT = { key: 'k', id: 'p', leaseMs: LEASE_MS };

let clock: VirtualClock;
let semaphores: SemaphoreService;

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask', 'performance'] });
  clock = new VirtualClock();
  semaphores = new SemaphoreService({ store: new MemorySemaphoreStore({ clock }) });
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
async function takePermit(): Promise<number> {
  const internals = internalsOf(semaphores);
  const options = internals.resolveUnkept({ leaseMs: LEASE_MS });
  return (await internals.permitsById.acquire(PERMIT.key, PERMIT.id, options)).deadline;
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
  listen(session);
  await pass(2 * LEASE_MS);
  expect(await semaphores.inspect('k')).toMatchObject({ held: 1 });
  await session.end();
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
  jest.spyOn(permitsById, 'renew').mockReturnValue(new Promise(() => undefined));
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
