import { expect, test } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { MemorySemaphoreStore, type StoreSession } from 'nestjs-semaphore';
import {
  describeSemaphoreStore,
  describeSingleFlightStore,
  type StoreHarness,
  VirtualClock,
} from 'nestjs-semaphore/testing';
import { Peer } from '../../../lib/testing/conformance/peer.js';

/** After so long a message that did not come is named. */
const MESSAGE_LIMIT_MS = 5_000;

/** The tests of the suite by their titles. */
function testsOf(harness: StoreHarness, suite = describeSemaphoreStore) {
  const tests = new Map<string, () => Promise<void>>();
  suite('a store', harness, {
    describe: (_name, body) => body(),
    it: (title, body) => tests.set(title, body),
  });
  return tests;
}

/** A store in memory, with a session that was changed. */
function changed(change: (session: StoreSession) => Partial<StoreSession>): StoreHarness {
  const clock = new VirtualClock();
  const createStore = (): MemorySemaphoreStore => {
    const store = new MemorySemaphoreStore({ clock });
    const connect = store.connect.bind(store);
    store.connect = (client) => {
      const session = connect(client);
      return Object.assign(Object.create(session) as StoreSession, change(session));
    };
    return store;
  };
  return { createStore, advance: (ms) => clock.advance(ms), slackMs: 0 };
}

const LATE = 'hands an ended permit on in time, without being asked';

/** A store that says of a permit that it lasts so much longer than it does. */
const promising = (moreMs: number): StoreHarness =>
  changed((session) => ({
    acquire: async (request) => {
      const reply = await session.acquire(request);
      if (reply.status !== 'granted') return reply;
      const { deadline } = reply.grant;
      return { ...reply, grant: { ...reply.grant, deadline: deadline + moreMs } };
    },
  }));

const boundless = changed((session) => ({
  acquire: (request) => session.acquire({ ...request, permits: 9 }),
}));

test.each([
  ['without a limit', boundless, 'hands a released permit to who came first', 'had to wait'],
  ['whose leases end early', promising(9), LATE, 'it came 9 ms early'],
  ['whose leases end late', promising(-9), LATE, 'it came 9 ms late'],
])('the conformance suite finds out a store %s', async (_, harness, title, problem) => {
  await expect(testsOf(harness).get(title)?.()).rejects.toThrow(problem);
});

test('the conformance suite finds out a store without flights', async () => {
  const [first] = testsOf(
    changed(() => ({ flights: undefined })),
    describeSingleFlightStore,
  ).values();
  await expect(first?.()).rejects.toThrow('the session should have `flights`');
});

test('the conformance suite tells what a store failed with that did not grant', async () => {
  const peer = new Peer(new MemorySemaphoreStore(), 20);
  peer.failed('key', 'waiter', new Error('no more room'));
  await expect(peer.grant('waiter')).rejects.toThrow('waiter: no more room');
  await peer.session.close();
});

test('a test of the conformance suite closes its sessions, and then disposes of its store', async () => {
  const ends: string[] = [];
  const harness = changed((session) => ({
    close: async () => {
      await session.close();
      ends.push('closed');
    },
  }));
  const tests = testsOf({ ...harness, dispose: () => void ends.push('disposed') });
  await tests.get('counts permits over all processes')?.();
  expect(ends).toEqual(['closed', 'closed', 'disposed']);
});

test('the conformance suite leaves itself the time to name what a store did not do', () => {
  const limits: number[] = [];
  const framework = {
    describe: (_name: string, body: () => void) => body(),
    it: (_name: string, _body: () => Promise<void>, timeoutMs: number) => limits.push(timeoutMs),
  };
  const harness: StoreHarness = {
    createStore: () => new MemorySemaphoreStore(),
    advance: () => Promise.resolve(),
  };
  describeSemaphoreStore('a store', harness, framework);
  describeSingleFlightStore('a store', harness, framework);
  expect(limits.length).toBeGreaterThan(100);
  expect(Math.min(...limits)).toBeGreaterThanOrEqual(2 * MESSAGE_LIMIT_MS);
});

test('the conformance suite waits for a store that serves its queue slowly, as one that polls does', async () => {
  const peer = new Peer(new MemorySemaphoreStore(), 700);
  const { grant } = await peer.hold('key');
  const last = peer.grant('14');
  for (let served = 0; served < 15; served++) {
    await delay(60);
    peer.granted('key', `${served}`, grant);
  }
  expect(await last).toBe(grant);
  await expect(peer.grant('15')).rejects.toThrow('15 should have been granted');
  await peer.session.close();
});
