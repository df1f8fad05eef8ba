import { beforeEach, describe, expect, test } from '@jest/globals';
import type { Permit } from '../../../lib/core/permit.js';
import { SemaphoreService } from '../../../lib/semaphore.service.js';
import { MemorySemaphoreStore } from '../../../lib/store/memory/memory.semaphore-store.js';
import { VirtualClock } from '../../../lib/testing/virtual-clock.js';
import { rejection } from '../../support/semaphores.js';
import { ScriptedStore } from './scripted-store.js';

type Options = Parameters<SemaphoreService['acquire']>[1];

describe('two processes on one store', () => {
  let clock: VirtualClock;
  let one: SemaphoreService;
  let other: SemaphoreService;
  let served: string[];
  let tokens: number[];

  beforeEach(() => {
    clock = new VirtualClock();
    const store = new MemorySemaphoreStore({ clock });
    const options = { store, log: 'none', defaults: { localPasses: 2 } } as const;
    one = new SemaphoreService(options);
    other = new SemaphoreService(options);
    served = [];
    tokens = [];
  });

  /** Waits, and is known by its name. */
  const queue = async (service: SemaphoreService, name: string, options?: Options) => {
    const permit = service.acquire('k', options).then((granted) => {
      served.push(name);
      tokens.push(granted.fencingToken);
      return granted;
    });
    await clock.advance(0);
    return { permit };
  };
  const releaseInTurn = async (first: Permit, ...others: { permit: Promise<Permit> }[]) => {
    await first.release();
    const left = new Set(others);
    while (left.size > 0) {
      const next = await Promise.race([...left].map((one) => one.permit.then(() => one)));
      left.delete(next);
      await (await next.permit).release();
    }
  };

  test('a permit passes within its process as often as it may, then goes to who came first', async () => {
    const held = await one.acquire('k');
    const waiters = [await queue(other, 'b1'), await queue(one, 'a1'), await queue(one, 'a2')];
    waiters.push(await queue(one, 'a3'), await queue(other, 'b2'), await queue(other, 'b3'));
    await releaseInTurn(held, ...waiters);
    expect(served).toEqual(['a1', 'a2', 'b1', 'b2', 'b3', 'a3']);
    expect(tokens).toEqual(tokens.toSorted((a, b) => a - b));
    expect(new Set([held.fencingToken, ...tokens]).size).toBe(7);
    const { holders, waiters: left } = await one.inspect('k');
    expect([holders, left]).toEqual([[], []]);
  });

  test('nobody is passed over who came in the turn in which the ones before had all been served', async () => {
    const held = await one.acquire('k');
    const passed = one.acquire('k');
    await clock.advance(0);
    void held.release();
    await (await passed).release();
    const next = await one.acquire('k');
    const waiters = [await queue(one, 'first'), await queue(one, 'second')];
    await releaseInTurn(next, ...waiters);
    expect(served).toEqual(['first', 'second']);
  });

  test('events tell of each pass as of any other release and acquisition, one after the other', async () => {
    const told: string[] = [];
    one.events.subscribe(({ type }) => type !== 'waiting' && told.push(type));
    const held = await one.acquire('k');
    await releaseInTurn(held, await queue(one, 'a1'), await queue(one, 'a2'));
    const once = ['acquired', 'released'];
    expect(told).toEqual([...once, ...once, ...once]);
  });

  test('it passes for 100 ms at most from its grant on', async () => {
    const held = await one.acquire('k');
    const waiters = [await queue(other, 'b1'), await queue(one, 'a1'), await queue(one, 'a2')];
    await clock.advance(99);
    await held.release();
    const first = await waiters[1]?.permit;
    await clock.advance(1);
    await first?.release();
    await waiters[0]?.permit;
    expect(served).toEqual(['a1', 'b1']);
  });

  test('who comes back does not pass over others of its process by a place that was left before', async () => {
    const held = await one.acquire('k');
    const waiters = [await queue(one, 'a1'), await queue(one, 'a2'), await queue(other, 'b1')];
    await held.release();
    waiters.push(await queue(one, 'a3'));
    await clock.advance(100);
    await (await waiters[0]?.permit)?.release();
    await clock.advance(100);
    await (await waiters[1]?.permit)?.release();
    await clock.advance(100);
    await (await waiters[3]?.permit)?.release();
    await waiters[2]?.permit;
    expect(served).toEqual(['a1', 'a2', 'a3', 'b1']);
  });

  test('others wait for those who were there before them, not for who comes back to their places', async () => {
    let held = one.acquire('k', { localPasses: 50 });
    const before = [held];
    for (let i = 0; i < 5; i++) before.push((await queue(one, 'a', { localPasses: 50 })).permit);
    const { permit } = await queue(other, 'b');
    const isServed = permit.then(() => true);
    for (let i = 0; i < 60 && !served.includes('b'); i++) {
      await clock.advance(10);
      held = before.shift() as typeof held;
      void (await Promise.race([held, isServed.then(() => held)])).release();
      before.push((await queue(one, 'a', { localPasses: 50 })).permit);
    }
    expect(served.indexOf('b')).toBeGreaterThan(5);
    expect(served.indexOf('b')).toBeLessThan(30);
  });

  test('places that were left are given up after 100 ms, however long the work of who holds the permit takes', async () => {
    const held = await one.acquire('k');
    const { permit } = await queue(one, 'a1');
    await clock.advance(50);
    await held.release();
    await permit;
    await clock.advance(100);
    expect(await one.inspect('k')).toMatchObject({ held: 1, waiters: [] });
    await queue(other, 'b1', { maxWaiting: 1 });
    expect((await one.inspect('k')).waiters).toHaveLength(1);
  });

  test('nobody takes a place that was left in a longer queue than it puts up with', async () => {
    const held = await one.acquire('k');
    const { permit } = await queue(one, 'a1');
    await held.release();
    await permit;
    const refused = await rejection(one.acquire('k', { maxWaiting: 0 }));
    expect(refused).toMatchObject({ reason: 'queue-full' });
  });

  test('a limit that was lowered meanwhile holds for those who come next', async () => {
    const options = { permits: 3, weight: 3 };
    const held = await one.acquire('k', options);
    const { permit } = await queue(one, 'a1', options);
    await other.setPermits('k', 1);
    await clock.advance(100);
    await held.release();
    expect((await permit).weight).toBe(1);
    expect(await one.inspect('k')).toMatchObject({ permits: 1, held: 1 });
  });

  test('tokens grow when others come in because the limit was raised', async () => {
    const held = await one.acquire('k');
    const waiters = [await queue(other, 'b1'), await queue(one, 'a1')];
    await other.setPermits('k', 2);
    await waiters[0]?.permit;
    await clock.advance(1000);
    await held.release();
    await waiters[1]?.permit;
    expect(served).toEqual(['b1', 'a1']);
    expect(tokens).toEqual(tokens.toSorted((a, b) => a - b));
    expect(new Set([held.fencingToken, ...tokens]).size).toBe(3);
  });

  test('it does not pass over a waiter of its process with a higher priority', async () => {
    const held = await one.acquire('k');
    const waiters = [await queue(one, 'low'), await queue(one, 'high', { priority: 1 })];
    await releaseInTurn(held, ...waiters);
    expect(served).toEqual(['high', 'low']);
  });

  test.each<[string, Options]>([
    ['that takes no passes', { localPasses: 0 }],
    ['of another label', { label: 'x' }],
    ['of another priority', { priority: -1 }],
    ['of another lease', { leaseMs: 5000 }],
    ['whose lease is not renewed', { renew: false }],
    ['whose lease is renewed for another time', { maxHoldMs: 100 }],
    ['of a permit that must stay taken for a while', { holdAtLeastMs: 1 }],
  ])('it does not pass to a waiter %s', async (_, options) => {
    const held = await one.acquire('k');
    const waiters = [await queue(other, 'b1'), await queue(one, 'a1', options)];
    await held.release();
    await waiters[0]?.permit;
    expect(served).toEqual(['b1']);
  });

  test.each<Options>([{ renew: false }, { maxHoldMs: 10 }])(
    'a lease that is not renewed, by %j, is not what the next holder gets',
    async (options) => {
      const held = await one.acquire('k', { leaseMs: 2000, ...options });
      const { permit } = await queue(one, 'a1', { leaseMs: 2000 });
      await held.release();
      const next = await permit;
      for (let i = 0; i < 10; i++) await clock.advance(1000);
      expect(next.isHeld).toBe(true);
    },
  );

  test('a lease that nobody renews is not passed on, to one that would not renew it either', async () => {
    const options = { leaseMs: 30_000, renew: false };
    const held = await one.acquire('k', options);
    const { permit } = await queue(one, 'a1', options);
    await clock.advance(50);
    await held.release();
    expect((await permit).remainingMs).toBeGreaterThan(29_980);
  });

  test.each([60_000, Infinity])(
    'a lease that its holder made another one, of %d ms, is not what the next holder gets',
    async (leaseMs) => {
      const held = await one.acquire('k');
      const waiters = [await queue(other, 'b1'), await queue(one, 'a1')];
      const renewed = rejection(held.renew(leaseMs));
      await held.release();
      await waiters[0]?.permit;
      await renewed;
      expect(served).toEqual(['b1']);
    },
  );

  test('a permit that is not the only one does not pass, as tokens of others may lie in between', async () => {
    const held = await one.acquire('k', { permits: 2, weight: 2 });
    const small = [
      await queue(other, 'b1', { permits: 2 }),
      await queue(one, 'a1', { permits: 2 }),
    ];
    await held.release();
    await Promise.all(small.map(({ permit }) => permit));
    const third = await queue(other, 'b2', { permits: 2 });
    await queue(one, 'a2', { permits: 2 });
    await (await small[1]?.permit)?.release();
    await third.permit;
    expect(served).toEqual(['b1', 'a1', 'b2']);
  });

  test('the limit that is in force counts, not the one that the caller knows', async () => {
    await one.setPermits('k', 2);
    const held = [await one.acquire('k'), await one.acquire('k')];
    const waiters = [await queue(other, 'b1'), await queue(one, 'a1')];
    await held[0]?.release();
    await waiters[0]?.permit;
    expect(served).toEqual(['b1']);
  });

  test('a permit that was passed on can be seen, renewed and taken by force', async () => {
    const held = await one.acquire('k');
    const waiting = await queue(one, 'a1');
    await clock.advance(50);
    const released = held.release();
    const passed = await waiting.permit;
    expect(await released).toBe('released');
    expect(held.isHeld).toBe(false);
    expect(held.signal.aborted).toBe(false);
    expect(passed.id).toBe(held.id);
    expect(passed.fencingToken).toBe(held.fencingToken + 1);
    expect(passed.acquiredAt).toBe(held.acquiredAt + 50);
    expect((await one.inspect('k')).holders).toMatchObject([{ id: passed.id, weight: 1 }]);
    await passed.renew(60_000);
    expect(passed.remainingMs).toBeGreaterThan(50_000);
    expect(await other.forceRelease('k', passed.id)).toBe(true);
    await clock.advance(0);
    expect(passed.signal.aborted).toBe(true);
    const next = await other.acquire('k');
    expect(next.fencingToken).toBeGreaterThan(passed.fencingToken);
  });

  test('a lease that was passed on is kept alive, and ends when nobody renews it', async () => {
    const held = await one.acquire('k', { leaseMs: 3000 });
    const waiting = await queue(one, 'a1', { leaseMs: 3000 });
    await held.release();
    const passed = await waiting.permit;
    await clock.advance(60_000);
    expect(passed.isHeld).toBe(true);
    expect(await passed.release()).toBe('released');
  });

  test('a waiter that gives up leaves its place, and places that are left block nobody', async () => {
    const held = await one.acquire('k');
    const patient = await queue(one, 'a1');
    const short = await queue(one, 'a2', { waitMs: 100 });
    const refused = rejection(short.permit);
    await clock.advance(100);
    expect(await refused).toMatchObject({ reason: 'timeout' });
    expect((await one.inspect('k')).waiters).toHaveLength(1);
    await held.release();
    await queue(other, 'b1');
    await (await patient.permit).release();
    await clock.advance(0);
    await new Promise(setImmediate);
    await clock.advance(0);
    expect(served).toEqual(['a1', 'b1']);
  });
});

describe('what the store is asked', () => {
  let store: ScriptedStore;
  let semaphores: SemaphoreService;

  beforeEach(() => {
    store = new ScriptedStore();
    semaphores = new SemaphoreService({ store, log: 'none', defaults: { localPasses: 50 } });
  });

  const enqueue = async () => {
    const permit = semaphores.acquire('k');
    const call = await store.take('acquire');
    call.answer({ status: 'waiting' });
    await store.clock.advance(0);
    return { permit, id: call.id };
  };

  test('is nothing while callers come back: they take the places of those who were served', async () => {
    const first = await store.hold(semaphores, {});
    const waiting = await enqueue();
    let [held, next] = [first, waiting.permit];
    for (let i = 0; i < 20; i++) {
      await held.release();
      held = await next;
      next = semaphores.acquire('k');
    }
    expect(held.fencingToken).toBe(first.fencingToken + 20);
    expect(
      ['acquire', 'release', 'cancel', 'renew'].map((call) => store.count(call as 'renew')),
    ).toEqual([0, 0, 0, 0]);
  });

  test('is told the last token with the release, and that places are given up', async () => {
    const held = await store.hold(semaphores, {});
    const waiting = await enqueue();
    await held.release();
    const passed = await waiting.permit;
    void passed.release();
    const release = await store.take('release');
    expect(release.id).toBe(held.id);
    expect(release.args.at(-1)).toBe(held.fencingToken + 1);
    const cancel = await store.take('cancel');
    expect(cancel.id).toBe(waiting.id);
  });

  test('is told at a close that places are given up', async () => {
    const held = await store.hold(semaphores, {});
    const waiting = await enqueue();
    await held.release();
    await waiting.permit;
    const closed = semaphores.close();
    const cancel = await store.take('cancel');
    expect(cancel.id).toBe(waiting.id);
    cancel.answer(undefined);
    await closed;
  });

  test('a grant for a place that nobody stands at any more is given back', async () => {
    const held = await store.hold(semaphores, {});
    const waiting = await enqueue();
    await held.release();
    await waiting.permit;
    store.client.granted('k', waiting.id, store.grant());
    expect((await store.take('cancel')).id).toBe(waiting.id);
    // Who came to it now would wait at a place that is given back.
    void semaphores.acquire('k');
    expect((await store.take('acquire')).id).not.toBe(waiting.id);
  });

  test('who asks again, as its grant came too late, is passed nothing: it may have no place', async () => {
    const held = await store.hold(semaphores, {});
    const waiting = await enqueue();
    store.client.granted('k', waiting.id, { ...store.grant(), deadline: store.clock.now() });
    expect((await store.take('acquire')).id).toBe(waiting.id);
    void held.release();
    expect((await store.take('release')).id).toBe(held.id);
  });

  test('the answer to a renewal that was on its way counts for who holds now', async () => {
    const first = await enqueue();
    const second = await enqueue();
    store.client.granted('k', first.id, store.grant(2000, true));
    const claim = await store.take('renew');
    await (await first.permit).release();
    const passed = await second.permit;
    expect(passed.remainingMs).toBeLessThanOrEqual(2000);
    claim.answer(store.lease(30_000));
    await store.clock.advance(0);
    expect(passed.remainingMs).toBeGreaterThan(29_000);
    expect(passed.isHeld).toBe(true);
  });

  test('and when it says that the permit is gone, who holds now has lost it', async () => {
    const first = await enqueue();
    const second = await enqueue();
    store.client.granted('k', first.id, store.grant(2000, true));
    const claim = await store.take('renew');
    await (await first.permit).release();
    const passed = await second.permit;
    claim.answer(null);
    await store.clock.advance(0);
    expect(passed.isHeld).toBe(false);
    expect(passed.signal.aborted).toBe(true);
  });
});
