import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { filter, take } from 'rxjs';
import type { Permit } from '../../../lib/core/permit.js';
import { NamedSemaphore } from '../../../lib/named-semaphore.js';
import { AcquireAbortedError, ScopeError } from '../../../lib/semaphore.errors.js';
import type { SemaphoreEvent } from '../../../lib/semaphore.events.js';
import { SemaphoreService } from '../../../lib/semaphore.service.js';
import { internalsOf } from '../../../lib/service-internals.js';
import { MemorySemaphoreStore } from '../../../lib/store/memory/memory.semaphore-store.js';
import { VirtualClock } from '../../../lib/testing/index.js';
import { rejection } from '../../support/semaphores.js';
import { ScriptedStore } from './scripted-store.js';

let clock: VirtualClock;
let semaphores: SemaphoreService;
/** Another process on the same store. */
let other: SemaphoreService;
let events: SemaphoreEvent[];

beforeEach(() => {
  clock = new VirtualClock();
  const store = new MemorySemaphoreStore({ clock });
  semaphores = new SemaphoreService({ store, log: 'none' });
  other = new SemaphoreService({ store, log: 'none' });
  events = [];
  semaphores.events.subscribe((event) => events.push(event));
});

afterEach(async () => {
  await semaphores.close();
  await other.close();
});

const heldOf = async (key: string): Promise<number> => (await other.inspect(key)).held;
const count = (type: SemaphoreEvent['type']): number =>
  events.filter((event) => event.type === type).length;

describe('scope', () => {
  test('holds what was used until its task is over, and passes the result on', async () => {
    const result = await semaphores.scope(async () => {
      await semaphores.use('a');
      await Promise.resolve().then(() => semaphores.use('b'));
      expect([await heldOf('a'), await heldOf('b')]).toEqual([1, 1]);
      return 'result';
    });
    expect(result).toBe('result');
    expect([await heldOf('a'), await heldOf('b')]).toEqual([0, 0]);
  });

  test('refuses at once who has given up before, also while another use waits', async () => {
    const held = await other.acquire('k');
    await semaphores.scope(async () => {
      const first = semaphores.use('k');
      const givenUp = semaphores.use('k', { signal: AbortSignal.abort() });
      expect(await rejection(givenUp)).toBeInstanceOf(AcquireAbortedError);
      await held.release();
      expect((await first).isHeld).toBe(true);
    });
  });

  test.each<[string, () => Promise<never>]>([
    ['rejects', () => Promise.reject(new Error('of the task'))],
    [
      'throws at once',
      () => {
        throw new Error('of the task');
      },
    ],
  ])('releases when its task %s, and passes the error on', async (_how, fail) => {
    let using: Promise<Permit> | undefined;
    const scope = semaphores.scope(() => {
      using = semaphores.use('k');
      return using.then(fail, fail);
    });
    await expect(scope).rejects.toThrow('of the task');
    expect(await heldOf('k')).toBe(0);
  });

  test('takes a task that is not asynchronous', async () => {
    expect(await semaphores.scope(() => 5)).toBe(5);
    await expect(semaphores.scope(undefined as never)).rejects.toMatchObject({ option: 'task' });
  });

  test('releases everything, even when one release fails', async () => {
    const result = await semaphores.scope(async () => {
      const broken = await semaphores.use('broken');
      await semaphores.use('fine');
      broken.release = () => Promise.reject(new Error('of the release'));
      return 'result';
    });
    expect(result).toBe('result');
    expect(await heldOf('fine')).toBe(0);
  });

  test('within another one has permits of its own', async () => {
    const options = { permits: 2 };
    await semaphores.scope(async () => {
      const outer = await semaphores.use('k', options);
      await semaphores.scope(async () => {
        const inner = await semaphores.use('k', options);
        expect(inner.id).not.toBe(outer.id);
        expect(await heldOf('k')).toBe(2);
      });
      expect(await heldOf('k')).toBe(1);
      expect(await semaphores.use('k', options)).toBe(outer);
    });
    expect(await heldOf('k')).toBe(0);
  });

  test('of another service is none', async () => {
    const error = await semaphores.scope(() => rejection(other.use('k')));
    expect(error).toMatchObject({ reason: 'none' });
  });

  test('beside another one shares nothing with it', async () => {
    let most = 0;
    const work = (): Promise<void> =>
      semaphores.scope(async () => {
        await semaphores.use('k', { permits: 3 });
        most = Math.max(most, await heldOf('k'));
        await semaphores.use('k', { permits: 3 });
      });
    await Promise.all(Array.from({ length: 20 }, work));
    expect(most).toBe(3);
    expect(count('acquired')).toBe(20);
    expect(count('released')).toBe(20);
  });
});

describe('use', () => {
  test('outside of a scope says what to do', async () => {
    const error = await rejection(semaphores.use('k'));
    expect(error).toBeInstanceOf(ScopeError);
    expect(error).toMatchObject({ code: 'SEMAPHORE_NO_SCOPE', reason: 'none', key: 'k' });
    expect((error as Error).message).toMatch(/"k".*outside of a scope.*`scope`/u);
    expect(count('acquired')).toBe(0);
  });

  test('after the end of the scope says so', async () => {
    const detached = await semaphores.scope(() => ({
      error: clock.advance(0).then(() => rejection(semaphores.use('k'))),
    }));
    expect(await detached.error).toMatchObject({ code: 'SEMAPHORE_NO_SCOPE', reason: 'ended' });
    expect(await heldOf('k')).toBe(0);
  });

  test.each<[string, () => Promise<unknown>, string]>([
    ['an empty key', () => semaphores.use(''), 'key'],
    ['several keys', () => semaphores.use(['a', 'b'] as never), 'key'],
    ['a bad option', () => semaphores.use('k', { waitMs: -1 }), 'waitMs'],
    ['a bad signal', () => semaphores.use('k', { signal: {} as AbortSignal }), 'signal'],
    ['options that are none', () => semaphores.use('k', null as never), 'options'],
  ])('refuses %s', async (_what, call, option) => {
    const error = await semaphores.scope(() => rejection(call()));
    expect(error).toMatchObject({ code: 'SEMAPHORE_INVALID_OPTIONS', option });
  });

  test('takes a key once, however often it is called at once', async () => {
    await semaphores.scope(async () => {
      const uses = Array.from({ length: 10 }, () => semaphores.use('k'));
      expect(new Set(await Promise.all(uses)).size).toBe(1);
      expect(await semaphores.use('k')).toBe(await uses[0]);
    });
    expect(count('acquired')).toBe(1);
    expect(count('released')).toBe(1);
  });

  test('takes a permit anew when the last one was released or lost', async () => {
    await semaphores.scope(async () => {
      const first = await semaphores.use('k', { leaseMs: 1000, renew: false });
      await first.release();
      const second = await semaphores.use('k', { leaseMs: 1000, renew: false });
      await other.forceRelease('k', second.id);
      const third = await semaphores.use('k', { leaseMs: 1000, renew: false });
      await clock.advance(1000);
      const fourth = await semaphores.use('k');
      expect(new Set([first, second, third, fourth]).size).toBe(4);
      expect(fourth.isHeld).toBe(true);
    });
    expect(await heldOf('k')).toBe(0);
  });

  test('does not remember that it failed', async () => {
    const blocking = await other.acquire('k');
    await semaphores.scope(async () => {
      await expect(semaphores.use('k', { waitMs: 0 })).rejects.toMatchObject({ reason: 'busy' });
      await blocking.release();
      expect((await semaphores.use('k', { waitMs: 0 })).isHeld).toBe(true);
    });
  });

  test('that still waits when the scope ends leaves the queue', async () => {
    const blocking = await other.acquire('k');
    let waiting: Promise<Permit> | undefined;
    await semaphores.scope(async () => {
      waiting = semaphores.use('k');
      await clock.advance(0);
      expect(await other.inspect('k')).toMatchObject({ waiters: [expect.anything()] });
    });
    expect(await other.inspect('k')).toMatchObject({ held: 1, waiters: [] });
    const error = await rejection(waiting as Promise<Permit>);
    expect(error).toBeInstanceOf(AcquireAbortedError);
    expect(error).toMatchObject({
      message: expect.stringMatching(/^Waiting for semaphore "k" was given up\. The scope ended/u),
      cause: { message: expect.stringMatching(/scope ended/u) },
    });
    await blocking.release();
  });

  test('that is just being granted when the scope ends leaves nothing behind', async () => {
    let granted: Promise<Permit> | undefined;
    await semaphores.scope(() => {
      granted = semaphores.use('k');
    });
    expect((await granted)?.isHeld).toBe(false);
    expect(await heldOf('k')).toBe(0);
  });

  test('whose grant comes after the end of the scope is given back', async () => {
    const store = new ScriptedStore();
    const slow = new SemaphoreService({ store, log: 'none' });
    let late: Promise<Permit> | undefined;
    await slow.scope(() => {
      late = slow.use('k');
    });
    const call = await store.take('acquire');
    call.answer({ status: 'granted', grant: store.grant() });
    expect(await rejection(late as Promise<Permit>)).toBeInstanceOf(AcquireAbortedError);
    expect((await store.take('cancel')).id).toBe(call.id);
    await store.clock.advance(0);
    expect(store.calls.filter(({ operation }) => operation === 'cancel').length).toBeGreaterThan(0);
  });

  test('that nobody waits for does not end the process with the scope', async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown): void => void unhandled.push(error);
    process.on('unhandledRejection', note);
    try {
      await using _blocking = await other.acquire('k');
      await semaphores.scope(() => void semaphores.use('k'));
      await new Promise((resolve) => setImmediate(resolve));
      expect(unhandled).toEqual([]);
    } finally {
      process.off('unhandledRejection', note);
    }
  });

  test('is reentrant only when asked to', async () => {
    await semaphores.scope(async () => {
      const permit = await semaphores.use('k');
      const busy = { waitMs: 0 };
      await expect(semaphores.acquire('k', busy)).rejects.toMatchObject({ reason: 'busy' });
      const own = await semaphores.acquire('k', { ...busy, reentrant: true });
      expect(own.id).toBe(permit.id);
      await own.release();
      expect(permit.isHeld).toBe(true);
    });
    await semaphores.withPermit('k', (permit) =>
      semaphores.scope(async () => {
        const used = await semaphores.use('k', { waitMs: 0, reentrant: true });
        expect(used.id).toBe(permit.id);
      }),
    );
  });

  test('under a permit of the key gives that one, as long as it is held', async () => {
    const patience = { waitMs: 0 };
    await semaphores.scope(async () => {
      await semaphores.withPermit('k', async (permit) => {
        const used = await semaphores.use('k', patience);
        expect(used.id).toBe(permit.id);
        expect(await used.release()).toBe('released');
        expect(permit.isHeld).toBe(true);
        await semaphores.scope(async () => {
          expect((await semaphores.use('k', patience)).id).toBe(permit.id);
        });
      });
      const own = await semaphores.use('k', patience);
      expect(await semaphores.use('k')).toBe(own);
    });
    expect(count('acquired')).toBe(2);
    expect(await heldOf('k')).toBe(0);
  });

  test('under a permit of the key gives one signal, however often, that tells the end of it', async () => {
    const { signal, late } = await semaphores.withPermit('k', async (permit) => {
      const used = await semaphores.use('k');
      const again = await semaphores.scope(() => semaphores.use('k'));
      expect(again.signal).toBe(used.signal);
      const returned = await semaphores.use('k');
      await returned.release();
      expect([used.signal.aborted, permit.signal.aborted]).toEqual([false, false]);
      return { signal: used.signal, late: returned.signal };
    });
    expect(signal.reason).toMatchObject({ code: 'SEMAPHORE_PERMIT_LOST', reason: 'released' });
    expect(late.aborted).toBe(false);
  });

  test('under a permit of the key needs no scope', async () => {
    const task = async (permit: Permit): Promise<void> => {
      const used = await semaphores.use('k', { waitMs: 0 });
      expect(used.id).toBe(permit.id);
      expect(await used.release()).toBe('released');
      expect(permit.isHeld).toBe(true);
      const givenUp = semaphores.use('k', { signal: AbortSignal.abort() });
      expect(await rejection(givenUp)).toBeInstanceOf(AcquireAbortedError);
      expect(await rejection(semaphores.use('k', { waitMs: -1 }))).toMatchObject({
        option: 'waitMs',
      });
      expect(await rejection(semaphores.use('other'))).toMatchObject({ reason: 'none' });
      await permit.release();
      expect(await rejection(semaphores.use('k'))).toMatchObject({ reason: 'none' });
    };
    await semaphores.withPermit('k', task);
    await semaphores.bind('k', async () => (await semaphores.use('k')).release())();
    expect(count('acquired')).toBe(2);
  });

  test('under a permit of the key needs no scope that is still open', async () => {
    const { left } = await semaphores.scope(() => ({
      left: clock.advance(0).then(() =>
        semaphores.withPermit('k', async (permit) => {
          expect((await semaphores.use('k')).id).toBe(permit.id);
          expect(await rejection(semaphores.use('other'))).toMatchObject({ reason: 'ended' });
        }),
      ),
    }));
    await left;
  });

  test('under a permit of the key does not wait for what the scope waits for', async () => {
    await semaphores.scope(async () => {
      const task = semaphores.withPermit('k', async (permit) => {
        await clock.advance(0);
        expect(await other.inspect('k')).toMatchObject({ waiters: [expect.anything()] });
        expect((await semaphores.use('k')).id).toBe(permit.id);
      });
      const waiting = semaphores.use('k');
      await task;
      expect((await waiting).isHeld).toBe(true);
    });
  });

  test('of a named semaphore takes its options', async () => {
    const named = new NamedSemaphore(semaphores, 'k', { permits: 7 });
    await semaphores.scope(async () => {
      const permit = await named.use({ label: 'mine' });
      expect(permit.label).toBe('mine');
      expect(await named.use()).toBe(permit);
      expect(await named.inspect()).toMatchObject({ permits: 7, held: 1 });
    });
    await expect(named.use()).rejects.toThrow(ScopeError);
  });

  test('is refused while the service closes', async () => {
    semaphores.beginClose();
    const error = await semaphores.scope(() => rejection(semaphores.use('k')));
    expect(error).toMatchObject({ code: 'SEMAPHORE_CLOSED' });
  });
});

describe('the signal of a use', () => {
  test('leaves nothing behind when it fires in the moment of the grant', async () => {
    const held = await other.acquire('k');
    await semaphores.scope(async () => {
      const client = new AbortController();
      const impatient = semaphores.use('k', { signal: client.signal });
      await clock.advance(0);
      let again: Promise<Permit> | undefined;
      // Told before anybody who waits for a promise.
      const leaving = semaphores.events.pipe(
        filter(({ type }) => type === 'acquired'),
        take(1),
      );
      leaving.subscribe(() => {
        client.abort();
        again = semaphores.use('k');
      });
      await held.release();
      expect(await rejection(impatient)).toBeInstanceOf(AcquireAbortedError);
      expect((await again)?.isHeld).toBe(true);
    });
    expect(await heldOf('k')).toBe(0);
  });

  test('ends the wait of its own caller, not that of the others', async () => {
    const blocking = await other.acquire('k');
    const client = new AbortController();
    await semaphores.scope(async () => {
      const impatient = semaphores.use('k', { signal: client.signal });
      const patient = semaphores.use('k');
      await clock.advance(0);
      client.abort('too long');
      expect(await rejection(impatient)).toMatchObject({ cause: 'too long' });
      await blocking.release();
      expect((await patient).isHeld).toBe(true);
    });
    expect(count('acquired')).toBe(1);
  });

  test('ends the acquisition when nobody else waits for it; who asks then asks anew', async () => {
    const blocking = await other.acquire('k');
    const [one, two] = [new AbortController(), new AbortController()];
    await semaphores.scope(async () => {
      const first = semaphores.use('k', { signal: one.signal });
      const second = semaphores.use('k', { signal: two.signal });
      await clock.advance(0);
      one.abort('one');
      expect(await other.inspect('k')).toMatchObject({ waiters: [expect.anything()] });
      two.abort('two');
      const third = semaphores.use('k');
      expect(await rejection(first)).toMatchObject({ cause: 'one' });
      expect(await rejection(second)).toMatchObject({ cause: 'two' });
      await blocking.release();
      expect((await third).isHeld).toBe(true);
    });
    expect(await other.inspect('k')).toMatchObject({ held: 0, waiters: [] });
  });

  test('that is aborted already acquires nothing', async () => {
    const error = await semaphores.scope(() =>
      rejection(semaphores.use('k', { signal: AbortSignal.abort('before') })),
    );
    expect(error).toMatchObject({ code: 'SEMAPHORE_ABORTED', cause: 'before' });
    expect(count('acquired')).toBe(0);
  });

  test.each<[string, (task: () => Promise<void>) => Promise<void>]>([
    ['the scope', (task) => semaphores.use('k').then(task)],
    ['its task', (task) => semaphores.withPermit('k', task)],
  ])('that is aborted already gets nothing, also when %s holds the key', async (_who, hold) => {
    await semaphores.scope(() =>
      hold(async () => {
        const error = await rejection(semaphores.use('k', { signal: AbortSignal.abort('before') }));
        expect(error).toMatchObject({ code: 'SEMAPHORE_ABORTED', key: 'k', cause: 'before' });
        expect((await semaphores.use('k')).isHeld).toBe(true);
      }),
    );
  });

  test('does nothing to a permit that is held', async () => {
    const client = new AbortController();
    await semaphores.scope(async () => {
      const permit = await semaphores.use('k', { signal: client.signal });
      client.abort();
      expect(permit.isHeld).toBe(true);
      expect(await semaphores.use('k')).toBe(permit);
    });
  });
});

describe('a scope that is broken off', () => {
  const lost = { code: 'SEMAPHORE_PERMIT_LOST', reason: 'released', key: 'k' };

  test('tells whoever works under its permits, before anybody else has them', async () => {
    const order: string[] = [];
    const scope = internalsOf(semaphores).openScope();
    const permit = await scope.use('k');
    permit.signal.addEventListener('abort', () => order.push('told'));
    const next = other.acquire('k').then(() => order.push('granted'));
    await clock.advance(0);
    await scope.breakOff();
    await next;
    expect(order).toEqual(['told', 'granted']);
    expect(permit.signal.reason).toMatchObject(lost);
    await expect(permit.renew()).rejects.toMatchObject(lost);
  });

  test('leaves permits alone that were released before', async () => {
    const scope = internalsOf(semaphores).openScope();
    const permit = await scope.use('k');
    await permit.release();
    await scope.breakOff();
    expect(permit.signal.aborted).toBe(false);
  });

  test('tells who works without the store, and who has borrowed that', async () => {
    const store = new ScriptedStore();
    store.throwsAtOnce = true;
    const alone = new SemaphoreService({ store, log: 'none' });
    const scope = internalsOf(alone).openScope();
    const permit = await scope.use('k', { onStoreFailure: 'local' });
    const borrowed = await scope.run(() => alone.acquire('k', { reentrant: true }));
    const { signal } = borrowed;
    expect([permit.degraded, borrowed.id, signal.aborted]).toEqual([true, permit.id, false]);
    await scope.breakOff();
    expect([permit.signal.reason, signal.reason]).toMatchObject([lost, lost]);
  });
});
