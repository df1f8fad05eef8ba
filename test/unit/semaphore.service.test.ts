import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { Permit } from '../../lib/core/permit.js';
import { NamedSemaphore } from '../../lib/named-semaphore.js';
import { SemaphoreService } from '../../lib/semaphore.service.js';
import { MemorySemaphoreStore } from '../../lib/store/memory/memory.semaphore-store.js';
import { VirtualClock } from '../../lib/testing/index.js';
import { rejection } from '../support/semaphores.js';

let clock: VirtualClock;
let semaphores: SemaphoreService;

beforeEach(() => {
  clock = new VirtualClock();
  semaphores = new SemaphoreService({ store: new MemorySemaphoreStore({ clock }), log: 'none' });
});

afterEach(() => semaphores.close());

const heldOf = async (key: string): Promise<number> => (await semaphores.inspect(key)).held;

describe('the stack of a refusal', () => {
  const work = (): void => undefined;

  test.each<[string, () => Promise<unknown>]>([
    ['withPermit', () => semaphores.withPermit('k', work, { waitMs: 5 })],
    ['bind', () => semaphores.bind('k', work, { waitMs: 0 })()],
    [
      'a named semaphore',
      () => new NamedSemaphore(semaphores, 'k').withPermit(work, { waitMs: 5 }),
    ],
  ])('shows who called %s', async (_, ask) => {
    await semaphores.acquire('k');
    const nightlyReport = async (): Promise<void> => void (await ask());
    const refused = rejection(nightlyReport());
    await clock.advance(5);

    expect(await refused).toMatchObject({
      name: 'PermitUnavailableError',
      stack: expect.stringMatching(/^PermitUnavailableError: No permit .*nightlyReport/s),
    });
  });
});

describe('acquire', () => {
  test('hands a permit from one caller to the next', async () => {
    const first = await semaphores.acquire('k');
    const second = semaphores.acquire('k');
    await first.release();
    expect((await second).fencingToken).toBeGreaterThan(first.fencingToken);
  });

  test('keeps a permit alive while it is held, and hands it on once it is not', async () => {
    const first = await semaphores.acquire('k', { leaseMs: 1000 });
    const second = semaphores.acquire('k', { waitMs: Infinity });
    await clock.advance(10_000);
    expect(first.isHeld).toBe(true);
    await first.release();
    expect((await second).isHeld).toBe(true);
  });

  test('tells the holder of its loss before the next holder gets the permit', async () => {
    const order: string[] = [];
    const first = await semaphores.acquire('k', { leaseMs: 1000, renew: false });
    first.signal.addEventListener('abort', () => order.push('lost'));
    const second = semaphores.acquire('k').then(() => order.push('granted'));
    await clock.advance(1000);
    await second;
    expect(order).toEqual(['lost', 'granted']);
  });

  test('says when to come again', async () => {
    await semaphores.acquire('k', { leaseMs: Infinity });
    await expect(semaphores.acquire('k', { waitMs: 0 })).rejects.toMatchObject({
      reason: 'busy',
      retryAfterMs: 30_000,
    });
    await expect(semaphores.acquire('k', { maxWaiting: 0 })).rejects.toMatchObject({
      reason: 'queue-full',
    });
  });

  test('says in whole milliseconds when to come again', async () => {
    await semaphores.acquire('k', { leaseMs: 1000 });
    await clock.advance(0.25);
    const busy = { reason: 'busy', retryAfterMs: 1000 };
    await expect(semaphores.acquire('k', { waitMs: 0 })).rejects.toMatchObject(busy);
  });

  test.each<[string, () => Promise<unknown>, string]>([
    ['an empty key', () => semaphores.acquire(''), 'key'],
    ['no keys', () => semaphores.acquire([]), 'key'],
    ['a bad key among others', () => semaphores.acquire(['a', '']), 'key'],
    ['a bad option', () => semaphores.acquire('k', { waitMs: -1 }), 'waitMs'],
    ['a bad option of tryAcquire', () => semaphores.tryAcquire('k', { leaseMs: 0 }), 'leaseMs'],
    ['an unknown option', () => semaphores.acquire('k', { wait: 1 } as object), 'wait'],
    ['options that are none', () => semaphores.acquire('k', null as never), 'options'],
    ['too large a weight', () => semaphores.acquire('k', { weight: 2 }), 'weight'],
    ['a label that is no Unicode', () => semaphores.acquire('k', { label: 'a\ud800' }), 'label'],
    ['a key that is no Unicode', () => semaphores.acquire('a\ud800'), 'key'],
    ['no task', () => semaphores.withPermit('k', undefined as never), 'task'],
    ['a generator as task', () => semaphores.withPermit('k', function* () {}), 'task'],
    ['a generator as scope', () => semaphores.scope(function* () {}), 'task'],
    ['a bad limit', () => semaphores.setPermits('k', 0), 'permits'],
    ['a bad permit id', () => semaphores.forceRelease('k', 'a b'), 'permitId'],
    ['a bad pattern', () => semaphores.list('').next(), 'pattern'],
  ])('rejects %s', async (_, call, option) => {
    await expect(call()).rejects.toMatchObject({ code: 'SEMAPHORE_INVALID_OPTIONS', option });
  });
});

test.each<[string, () => Promise<unknown>, string]>([
  ['acquire', () => semaphores.acquire('k', { permits: 0 }), 'permits'],
  ['acquire of several', () => semaphores.acquire(['k', 'l'], { permits: 0 }), 'permits'],
  ['acquire of too much', () => semaphores.acquire('k', { weight: 2 }), 'weight'],
  ['tryAcquire', () => semaphores.tryAcquire('k', { permits: 0 }), 'permits'],
  ['withPermit', () => semaphores.withPermit('k', () => 1, { permits: 0 }), 'permits'],
  ['withPermit without a task', () => semaphores.withPermit('k', undefined as never), 'task'],
  ['use', () => semaphores.scope(() => semaphores.use('k', { permits: 0 })), 'permits'],
])('a bad option of %s is an error that knows its key', async (_, call, option) => {
  const error = await rejection(call());
  expect(error).toMatchObject({ code: 'SEMAPHORE_INVALID_OPTIONS', option, key: 'k' });
  expect((error as Error).message).toMatch(/^Semaphore "k": Expected `/u);
});

describe('tryAcquire', () => {
  test('answers null instead of waiting', async () => {
    const permit = await semaphores.tryAcquire('k');
    expect(permit?.isHeld).toBe(true);
    expect(await semaphores.tryAcquire('k', { waitMs: 1000 })).toBeNull();
    expect(await semaphores.tryAcquire(['free', 'k'])).toBeNull();
    expect(await heldOf('free')).toBe(0);
  });
});

describe('several keys', () => {
  test('are one permit, in the order in which they were asked for', async () => {
    const permit = await semaphores.acquire(['b', 'a', 'b'], { label: 'both' });
    expect(permit).toMatchObject({ key: 'b', keys: ['b', 'a'], label: 'both', degraded: false });
    expect([...permit.fencingTokens.keys()]).toEqual(['b', 'a']);
    expect(permit.fencingToken).toBe(permit.fencingTokens.get('b'));
    expect(permit.remainingMs).toBeGreaterThan(29_000);
    expect(await permit.release()).toBe('released');
    expect([await heldOf('a'), await heldOf('b'), permit.isHeld]).toEqual([0, 0, false]);
  });

  test('have holders with ids of their own, found by label and token', async () => {
    const permit = await semaphores.acquire(['b', 'a'], { label: 'mine' });
    const ids: string[] = [];
    for (const key of permit.keys) {
      const { holders } = await semaphores.inspect(key);
      const fencingToken = permit.fencingTokens.get(key);
      expect(holders).toMatchObject([{ label: 'mine', fencingToken }]);
      ids.push(...holders.map(({ id }) => id));
    }
    expect(ids).toEqual([permit.id, expect.not.stringContaining(permit.id)]);
    expect(await semaphores.forceRelease('a', ids[1] as string)).toBe(true);
    expect(permit.isHeld).toBe(false);
    await permit.release();
  });

  test('leave no listener on the signal that could have ended the wait', async () => {
    const { signal } = new AbortController();
    for (let i = 0; i < 3; i++) {
      const permit = await semaphores.acquire(['a', 'b'], { signal });
      await permit.release();
    }
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  test('cannot block each other', async () => {
    let done = 0;
    const work = (keys: string[]) =>
      semaphores.withPermit(keys, async () => {
        await clock.advance(1);
        done++;
      });
    await Promise.all([work(['a', 'b']), work(['b', 'a']), work(['b', 'c', 'a']), work(['c'])]);
    expect(done).toBe(4);
  });

  test('are all or none, within one waitMs', async () => {
    const c = await semaphores.acquire('c');
    const a = await semaphores.acquire('a');
    const all = semaphores.acquire(['a', 'b', 'c'], { waitMs: 1000, holdAtLeastMs: 5000 });
    all.catch(() => undefined);
    await clock.advance(600);
    await a.release();
    await clock.advance(399);
    expect(await heldOf('b')).toBe(1);
    await clock.advance(1);
    await expect(all).rejects.toMatchObject({ key: 'c', reason: 'timeout' });
    await clock.advance(0);
    expect([await heldOf('a'), await heldOf('b')]).toEqual([0, 0]);
    await c.release();
  });

  test('are lost when one of them is', async () => {
    const permit = await semaphores.acquire(['a', 'b']);
    const { signal } = permit;
    const [holder] = (await semaphores.inspect('b')).holders;
    expect(await semaphores.forceRelease('b', holder?.id ?? '')).toBe(true);
    await clock.advance(0);
    expect(signal.reason).toMatchObject({ key: 'b', reason: 'forced' });
    expect(permit.isHeld).toBe(false);
    expect(await permit.release()).toBe('expired');
    expect(await heldOf('a')).toBe(0);
  });

  test.each([
    { renew: false, leaseMs: 600 },
    { renew: false, leaseMs: 1500 },
    { maxHoldMs: 800, leaseMs: 600 },
  ])('have their whole time before them when the last one is there: %j', async (options) => {
    const b = await semaphores.acquire('b');
    const all = semaphores.acquire(['a', 'b'], options);
    await clock.advance(2000);
    await b.release();
    const permit = await all;
    expect(permit.remainingMs).toBeGreaterThan(0.9 * options.leaseMs);
    const heldMs = Math.max(options.leaseMs, options.maxHoldMs ?? 0);
    await clock.advance(0.9 * heldMs);
    expect(permit.isHeld).toBe(true);
    await clock.advance(options.leaseMs + 1000);
    expect(permit.isHeld).toBe(false);
  });

  test('are rejected at once when one is lost while another is waited for', async () => {
    const b = await semaphores.acquire('b');
    const all = semaphores.acquire(['a', 'b']);
    await clock.advance(500);
    const [holder] = (await semaphores.inspect('a')).holders;
    await semaphores.forceRelease('a', holder?.id ?? '');
    await expect(all).rejects.toMatchObject({ key: 'a', reason: 'forced' });
    await clock.advance(0);
    const { held, waiters } = await semaphores.inspect('b');
    expect({ held, waiters }).toEqual({ held: 1, waiters: [] });
    await b.release();
  });
});

describe('withPermit', () => {
  test('passes the result or the error through, and releases', async () => {
    expect(await semaphores.withPermit('k', ({ key }) => key)).toBe('k');
    const error = new Error('mine');
    const failing = semaphores.withPermit('k', () => {
      throw error;
    });
    await expect(failing).rejects.toBe(error);
    expect(await heldOf('k')).toBe(0);
  });

  test('does not replace the result when the permit was lost meanwhile', async () => {
    const result = semaphores.withPermit('k', () => clock.advance(1000).then(() => 'done'), {
      leaseMs: 100,
      renew: false,
    });
    expect(await result).toBe('done');
  });

  test('is what bind does with each call', async () => {
    const counter = {
      count: 0,
      add: semaphores.bind('k', async function (this: { count: number }, by: number) {
        expect(await heldOf('k')).toBe(1);
        return (this.count += by);
      }),
    };
    expect(await counter.add(2)).toBe(2);
    expect(counter.add).toHaveLength(1);
    const named = semaphores.bind('k', function greet() {
      throw new Error('mine');
    });
    expect(named.name).toBe('greet');
    await expect(named()).rejects.toThrow('mine');
    expect(() => semaphores.bind('k', function* () {})).toThrow('an async generator, instead of');
  });
});

test('a permit that is held when the service is closed is renewed no more, and ends with its lease', async () => {
  const permit = await semaphores.acquire('k', { leaseMs: 9_000 });
  const { signal } = permit;
  await semaphores.close();
  await expect(permit.renew()).rejects.toMatchObject({ code: 'SEMAPHORE_CLOSED', key: 'k' });
  const { pendingTimers } = clock;
  await clock.advance(8_000);
  expect(permit.isHeld).toBe(true);
  expect(clock.pendingTimers).toBe(pendingTimers);
  await clock.advance(1_000);
  expect(signal.reason).toMatchObject({ reason: 'expired' });
});

test('renew after the release says that the permit was released', async () => {
  const permit = await semaphores.acquire('k');
  const renewing = permit.renew();
  await permit.release();
  const errors = [await rejection(renewing), await rejection(permit.renew())];
  await semaphores.withPermit('k', () =>
    semaphores.withPermit(
      'k',
      async (borrowed) => {
        await borrowed.release();
        errors.push(await rejection(borrowed.renew()));
      },
      { reentrant: true },
    ),
  );
  for (const error of errors) {
    expect(error).toMatchObject({ code: 'SEMAPHORE_PERMIT_LOST', reason: 'released', key: 'k' });
    expect((error as Error).message).toMatch(/was released by its own holder/u);
  }
});

describe('reentrant', () => {
  const options = { reentrant: true, waitMs: 0 };

  test('takes no second permit where the context holds the key', async () => {
    await semaphores.withPermit(['k', 'other'], async (outer) => {
      await semaphores.withPermit(
        'k',
        async (inner) => {
          expect(inner.id).toBe(outer.id);
          expect(await inner.release()).toBe('released');
          expect([inner.isHeld, outer.isHeld]).toEqual([false, true]);
        },
        options,
      );
      expect(await heldOf('k')).toBe(1);
      const more = await semaphores.acquire(['k', 'new'], options);
      expect(more.keys).toEqual(['k', 'new']);
      await more.release();
      expect([await heldOf('k'), await heldOf('new')]).toEqual([1, 0]);
    });
  });

  test('takes one outside of the context, and after the outer permit was released', async () => {
    let later!: Promise<Permit>;
    const gate = deferred();
    await semaphores.withPermit('k', async () => {
      await expect(semaphores.acquire('k', { waitMs: 0 })).rejects.toMatchObject({
        reason: 'busy',
      });
      later = (async () => {
        await gate.promise;
        return semaphores.acquire('k', options);
      })();
    });
    gate.resolve(undefined);
    const permit = await later;
    expect(permit.isHeld).toBe(true);
    expect(await heldOf('k')).toBe(1);
    await permit.release();
    expect(await heldOf('k')).toBe(0);
  });

  test('takes none for a signal that is aborted already, of several keys either', async () => {
    await semaphores.withPermit('k', async () => {
      const task = jest.fn();
      const givenUp = { ...options, signal: AbortSignal.abort('before') };
      const refused = { code: 'SEMAPHORE_ABORTED', key: 'k', cause: 'before' };
      await expect(semaphores.acquire('k', givenUp)).rejects.toMatchObject(refused);
      await expect(semaphores.tryAcquire('k', givenUp)).rejects.toMatchObject(refused);
      await expect(semaphores.acquire(['k', 'l'], givenUp)).rejects.toMatchObject(refused);
      await expect(semaphores.withPermit('k', task, givenUp)).rejects.toMatchObject(refused);
      expect(task).not.toHaveBeenCalled();
    });
  });

  test('leaves no listener on the outer permit, of several keys either', async () => {
    await semaphores.withPermit('k', async ({ signal }) => {
      for (let i = 0; i < 20; i++) {
        const inner = await semaphores.acquire(['k', `other ${i}`], options);
        expect(inner.signal.aborted).toBe(false);
        await inner.release();
      }
      expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    });
  });
});

test('who weighs more than a limit that was lowered has all there is, and says so', async () => {
  const before = await semaphores.acquire('k', { permits: 5, weight: 5 });
  const next = semaphores.acquire('k', { permits: 5, weight: 5 });
  await semaphores.setPermits('k', 2);
  await before.release();
  const permit = await next;
  const { held, holders } = await semaphores.inspect('k');
  expect([permit.weight, holders[0]?.weight, held]).toEqual([2, 2, 2]);
});

describe('a reentrant call that outlives the one that it was made in', () => {
  const options = { reentrant: true, waitMs: 0 };

  test('is told before anybody else has the permit', async () => {
    const order: string[] = [];
    let next: Promise<unknown> | undefined;
    await semaphores.withPermit('k', async () => {
      const inner = await semaphores.acquire('k', options);
      inner.signal.addEventListener('abort', () => order.push('told'));
      next = semaphores.acquire('k').then(() => order.push('granted'));
      await clock.advance(0);
      expect(order).toEqual([]);
    });
    await next;
    expect(order).toEqual(['told', 'granted']);
  });

  test('finds its permit lost, when it asks only later', async () => {
    const borrowed = await semaphores.withPermit('k', () => semaphores.acquire('k', options));
    expect(borrowed.isHeld).toBe(false);
    expect(borrowed.signal.reason).toMatchObject({
      code: 'SEMAPHORE_PERMIT_LOST',
      reason: 'released',
      permitId: borrowed.id,
    });
    expect(await borrowed.release()).toBe('expired');
  });

  test('is told nothing when it is over before', async () => {
    const signals: AbortSignal[] = [];
    await semaphores.withPermit('k', async (outer) => {
      await semaphores.withPermit('k', ({ signal }) => signals.push(signal), options);
      const late = await semaphores.acquire('k', options);
      await late.release();
      signals.push(late.signal, outer.signal);
    });
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, false, false]);
  });

  test('is told why the lease ended', async () => {
    await semaphores.withPermit(
      'k',
      async () => {
        const inner = await semaphores.acquire('k', options);
        const { signal } = inner;
        await clock.advance(1000);
        expect(signal.reason).toMatchObject({ code: 'SEMAPHORE_PERMIT_LOST', reason: 'expired' });
        expect(await inner.release()).toBe('expired');
      },
      { leaseMs: 1000, renew: false },
    );
  });
});

describe('a named semaphore', () => {
  test('does the same with a key and options of its own, which the call overrides', async () => {
    const named = new NamedSemaphore(semaphores, 'reports', { permits: 2, label: 'named' });
    const keys: unknown[] = [];
    named.events.subscribe(({ key }) => keys.push(key));
    await (await semaphores.acquire('other')).release();
    const first = await named.acquire({ label: undefined });
    expect(first).toMatchObject({ key: 'reports', label: 'named' });
    expect(await named.withPermit(({ label }) => label, { label: 'call' })).toBe('call');
    expect((await named.inspect()).permits).toBe(2);
    expect(await named.bind((a: number) => a + 1)(1)).toBe(2);
    const second = await named.tryAcquire();
    expect(second).toMatchObject({ key: 'reports', label: 'named' });
    await second?.release();
    expect(new Set(keys)).toEqual(new Set(['reports']));
    await named.setPermits(1);
    expect(await named.tryAcquire()).toBeNull();
    expect(await named.forceRelease(first.id)).toBe(true);
    await named.setPermits(null);
    await expect(named.acquire(null as never)).rejects.toMatchObject({ option: 'options' });
    await expect(named.acquire({ weight: 3 })).rejects.toMatchObject({ option: 'weight' });
    expect(() => new NamedSemaphore(semaphores, 'k', { permits: 0 })).toThrow('permits');
    expect(() => new NamedSemaphore(semaphores, '')).toThrow('name');
  });
});

test('defaults may name a weight whose permits come later', async () => {
  const store = new MemorySemaphoreStore({ clock });
  const service = new SemaphoreService({ store, defaults: { weight: 2 }, log: 'none' });
  expect((await service.acquire('k', { permits: 2 })).weight).toBe(2);
  await expect(service.acquire('k')).rejects.toMatchObject({ option: 'weight' });
  await service.close();
});

test('refuses a key of a hundred thousand slashes as fast as any other', async () => {
  const before = process.cpuUsage();
  await expect(semaphores.acquire('/'.repeat(100_000))).rejects.toMatchObject({ option: 'key' });
  const { user } = process.cpuUsage(before);
  // A millisecond; where its time grows with the square of the length, five seconds.
  expect(user).toBeLessThan(1_000_000);
});

test('nothing is left when all was released', async () => {
  await semaphores.withPermit('k', () => undefined);
  const keys = [];
  for await (const key of semaphores.list()) keys.push(key);
  expect(keys).toEqual([]);
  await clock.advance(60_000);
  expect(clock.pendingTimers).toBe(0);
});

function deferred() {
  let resolve!: (value: unknown) => void;
  const promise = new Promise((settle) => (resolve = settle));
  return { promise, resolve };
}
