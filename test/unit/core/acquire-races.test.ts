import { getEventListeners } from 'node:events';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { SemaphoreService } from '../../../lib/semaphore.service.js';
import { StoreUnavailableError } from '../../../lib/semaphore.errors.js';
import { type Call, ScriptedStore } from './scripted-store.js';

let store: ScriptedStore;
let semaphores: SemaphoreService;

beforeEach(() => {
  store = new ScriptedStore();
  semaphores = new SemaphoreService({ store, log: 'none', storeTimeoutMs: 1000 });
});

/** Of a call that was never sent. */
const nothingDone = (): Error => new StoreUnavailableError('gone', 'k', undefined, true);

const settled = async (promise: Promise<unknown>): Promise<string> => {
  await store.clock.advance(0);
  return Promise.race([
    promise.then(
      () => 'resolved',
      () => 'rejected',
    ),
    new Promise<string>((resolve) => setImmediate(resolve, 'pending')),
  ]);
};

describe('a grant', () => {
  test('may come before the reply that says to wait', async () => {
    const permit = semaphores.acquire('k');
    const call = await store.take('acquire');
    store.client.granted('k', call.id, store.grant());
    call.answer({ status: 'waiting' });
    expect((await permit).id).toBe(call.id);
    await store.clock.advance(20_000);
    expect((await permit).isHeld).toBe(true);
    expect(store.count('cancel')).toBe(0);
  });

  test('that comes twice is one permit, with the first token', async () => {
    const permit = await store.hold(semaphores, {});
    store.client.granted('k', permit.id, { ...store.grant(), fencingToken: 8 });
    expect(permit.fencingToken).toBe(7);
    expect(store.count('cancel')).toBe(0);
  });

  test('may come although the reply was lost', async () => {
    const permit = semaphores.acquire('k');
    const call = await store.take('acquire');
    store.client.granted('k', call.id, store.grant());
    call.fail(new StoreUnavailableError('no reply'));
    expect((await permit).isHeld).toBe(true);
    expect(store.count('cancel')).toBe(0);
  });

  test('for nobody is cancelled', async () => {
    store.client.granted('k', 'unknown', store.grant());
    expect((await store.take('cancel')).id).toBe('unknown');
  });

  test('whose lease has ended on the way is asked for again, and not for ever', async () => {
    const permit = semaphores.acquire('k');
    const dead = { ...store.grant(), deadline: store.clock.now() };
    const first = await store.take('acquire');
    first.answer({ status: 'waiting' });
    await store.clock.advance(0);
    store.client.granted('k', first.id, dead);
    const second = await store.take('acquire');
    expect(second.id).toBe(first.id);
    second.answer({ status: 'granted', grant: dead });
    (await store.take('acquire')).answer({ status: 'granted', grant: dead });
    await expect(permit).rejects.toMatchObject({ code: 'SEMAPHORE_PERMIT_LOST' });
    expect((await store.take('cancel')).id).toBe(first.id);
  });

  test('whose lease has ended on the way is given back when it cannot be asked for again', async () => {
    const permit = semaphores.acquire('k');
    const first = await store.take('acquire');
    first.answer({ status: 'waiting' });
    await store.clock.advance(0);
    store.client.granted('k', first.id, { ...store.grant(), deadline: store.clock.now() });
    (await store.take('acquire')).fail(nothingDone());
    await expect(permit).rejects.toBeInstanceOf(StoreUnavailableError);
    expect((await store.take('cancel')).id).toBe(first.id);
  });
});

describe('a waiter', () => {
  test('leaves the queue when the store fails it, whatever the last call has done', async () => {
    const permit = semaphores.acquire('k');
    const call = await store.take('acquire');
    call.answer({ status: 'waiting' });
    await store.clock.advance(0);
    store.client.failed('k', call.id, nothingDone());
    await expect(permit).rejects.toBeInstanceOf(StoreUnavailableError);
    expect((await store.take('cancel')).id).toBe(call.id);
  });

  test('is rejected when its time is over, and leaves the queue', async () => {
    const permit = semaphores.acquire('k', { waitMs: 500 });
    const call = await store.take('acquire');
    await store.clock.advance(200);
    call.answer({ status: 'waiting' });
    await store.clock.advance(299);
    expect(await settled(permit)).toBe('pending');
    await store.clock.advance(1);
    await expect(permit).rejects.toMatchObject({ reason: 'timeout', key: 'k' });
    expect((await store.take('cancel')).id).toBe(call.id);

    store.client.granted('k', call.id, store.grant());
    expect((await store.take('cancel')).id).toBe(call.id);
  });

  test('is rejected in time when many others wait, each for another time', async () => {
    const rejectedAt: number[] = [];
    const times = [700, 20, 1500, 300, 21, 900, 260, 5];
    for (const waitMs of times) {
      void semaphores
        .acquire('k', { waitMs })
        .catch(() => rejectedAt.push(Math.round(store.clock.now())));
      (await store.take('acquire')).answer({ status: 'waiting' });
    }
    await store.clock.advance(2000);
    expect(rejectedAt).toEqual(times.toSorted((a, b) => a - b));
  });

  test('is rejected at once when the caller gives up, even before the store answered', async () => {
    const controller = new AbortController();
    const permit = semaphores.acquire('k', { signal: controller.signal });
    const call = await store.take('acquire');
    controller.abort('enough');
    await expect(permit).rejects.toMatchObject({ code: 'SEMAPHORE_ABORTED', cause: 'enough' });
    expect((await store.take('cancel')).id).toBe(call.id);

    call.answer({ status: 'granted', grant: store.grant() });
    expect((await store.take('cancel')).id).toBe(call.id);
  });

  test('asks the store for nothing when its signal was aborted before', async () => {
    const permit = semaphores.acquire('k', { signal: AbortSignal.abort('before') });
    await expect(permit).rejects.toMatchObject({ cause: 'before' });
    expect(store.calls).toEqual([]);
  });

  test('shares one listener with all who wait under the same signal, and takes it away', async () => {
    const { signal } = new AbortController();
    const permits = Array.from({ length: 20 }, () => semaphores.acquire('k', { signal }));
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    for (const _ of permits) {
      (await store.take('acquire')).answer({ status: 'granted', grant: store.grant() });
    }
    await Promise.all(permits);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  test('that was dropped by force is told', async () => {
    const permit = semaphores.acquire('k');
    const call = await store.take('acquire');
    call.answer({ status: 'waiting' });
    store.client.revoked('k', call.id);
    await expect(permit).rejects.toMatchObject({
      code: 'SEMAPHORE_PERMIT_LOST',
      reason: 'forced',
      message: expect.stringContaining('dropped from the queue'),
    });
  });
});

describe('when the store fails', () => {
  test('what an acquisition may have taken is cancelled until that succeeded', async () => {
    const permit = semaphores.acquire('k');
    const call = await store.take('acquire');
    call.fail(new StoreUnavailableError('no reply'));
    await expect(permit).rejects.toBeInstanceOf(StoreUnavailableError);

    (await store.take('cancel')).fail(new StoreUnavailableError('still no reply'));
    await store.clock.advance(1000);
    (await store.take('cancel')).fail(new StoreUnavailableError('still no reply'));
    store.client.down(new Error('gone'));
    await store.clock.advance(100);
    store.client.up();
    const last = await store.take('cancel');
    expect(last.id).toBe(call.id);
    last.answer();
    await store.clock.advance(10_000);
    expect(store.count('cancel')).toBe(0);
  });

  test('an error of another kind, or one thrown at once, is a StoreUnavailableError too', async () => {
    const permit = semaphores.acquire('k');
    (await store.take('acquire')).fail(new TypeError('broken'));
    await expect(permit).rejects.toMatchObject({
      code: 'SEMAPHORE_STORE_UNAVAILABLE',
      key: 'k',
      cause: expect.any(TypeError),
    });
    store.throwsAtOnce = true;
    await expect(semaphores.acquire('k')).rejects.toBeInstanceOf(StoreUnavailableError);
  });

  test('a waiter goes on waiting through a short outage', async () => {
    const permit = semaphores.acquire('k');
    const call = await store.take('acquire');
    call.answer({ status: 'waiting' });
    await store.clock.advance(0);
    store.client.down(new Error('gone'));
    await store.clock.advance(999);
    store.client.up();
    await store.clock.advance(5000);
    expect(await settled(permit)).toBe('pending');
    store.client.granted('k', call.id, store.grant());
    expect((await permit).isHeld).toBe(true);
  });

  test('a waiter is rejected when the outage lasts longer than storeTimeoutMs', async () => {
    const permit = semaphores.acquire('k');
    const call = await store.take('acquire');
    call.answer({ status: 'waiting' });
    await store.clock.advance(0);
    store.client.down(new Error('gone'));
    store.client.down(new Error('gone again'));
    await store.clock.advance(1000);
    await expect(permit).rejects.toMatchObject({ cause: new Error('gone') });
    await store.clock.advance(5000);
    expect(store.count('cancel')).toBe(0);
    store.client.up();
    expect((await store.take('cancel')).id).toBe(call.id);
  });

  test("a waiter whose grant the store cannot confirm gets the store's error", async () => {
    const permit = semaphores.acquire('k');
    const call = await store.take('acquire');
    call.answer({ status: 'waiting' });
    await store.clock.advance(0);
    store.client.failed('k', call.id, new StoreUnavailableError('no replica'));
    await expect(permit).rejects.toThrow('no replica');
    expect((await store.take('cancel')).id).toBe(call.id);
  });
});

describe("onStoreFailure 'allow'", () => {
  test('runs unguarded with a degraded permit', async () => {
    const permit = semaphores.acquire('k', { onStoreFailure: 'allow' });
    const call = await store.take('acquire');
    call.fail(new StoreUnavailableError('no reply'));
    expect(await permit).toMatchObject({ degraded: true, fencingToken: 0, isHeld: true });
    expect((await store.take('cancel')).id).toBe(call.id);
    expect(await (await permit).release()).toBe('released');
    expect((await permit).isHeld).toBe(false);
    await expect((await permit).renew()).rejects.toMatchObject({ code: 'SEMAPHORE_PERMIT_LOST' });
    expect(store.count('release')).toBe(0);
  });

  test.each([{ renew: false }, { maxHoldMs: 60_000 }])(
    'of several keys with %o keeps the one that the store has granted before it went away',
    async (options) => {
      const both = semaphores.acquire(['a', 'b'], { onStoreFailure: 'allow', ...options });
      const granted = { status: 'granted', grant: store.grant() } as const;
      (await store.take('acquire')).answer(granted);
      (await store.take('acquire')).fail(new StoreUnavailableError('no reply'));
      (await store.take('renew')).fail(new StoreUnavailableError('no reply'));
      const permit = await both;
      expect(permit).toMatchObject({ isHeld: true, degraded: true });
      expect(permit.fencingTokens.get('a')).toBe(granted.grant.fencingToken);
    },
  );
});

describe("onStoreFailure 'reject'", () => {
  test('of several keys keeps none when the store goes away before all have their leases', async () => {
    const both = semaphores.acquire(['a', 'b'], { renew: false });
    for (let i = 0; i < 2; i++) {
      (await store.take('acquire')).answer({ status: 'granted', grant: store.grant() });
    }
    for (let i = 0; i < 2; i++) {
      (await store.take('renew')).fail(new StoreUnavailableError('no reply'));
    }
    await expect(both).rejects.toMatchObject({ code: 'SEMAPHORE_STORE_UNAVAILABLE' });
    const released = [await store.take('release'), await store.take('release')];
    expect(released.map(({ args }) => args[0])).toEqual(['a', 'b']);
  });
});

describe("onStoreFailure 'local'", () => {
  const local = async (options = {}) => {
    const permit = semaphores.acquire('k', { onStoreFailure: 'local', permits: 2, ...options });
    permit.catch(() => undefined);
    (await store.take('acquire')).fail(new StoreUnavailableError('no reply'));
    await store.clock.advance(0);
    return permit;
  };

  test('counts within this process, what the store granted before included', async () => {
    const held = await store.hold(semaphores, { permits: 2 });
    const first = await local();
    expect(first.degraded).toBe(true);
    const second = local();
    expect(await settled(second)).toBe('pending');
    void held.release();
    expect((await second).degraded).toBe(true);
  });

  test('keeps a permit that was released taken for as long as it must be', async () => {
    const permit = await local({ permits: 1, holdAtLeastMs: 5000 });
    await store.clock.advance(1000);
    expect(await permit.release()).toBe('released');
    await expect(local({ permits: 1, waitMs: 0 })).rejects.toMatchObject({ reason: 'busy' });
    const next = local({ permits: 1 });
    await store.clock.advance(3999);
    expect(await settled(next)).toBe('pending');
    await store.clock.advance(1);
    expect((await next).degraded).toBe(true);
  });

  test('of several keys keeps none taken that nobody has got', async () => {
    store.throwsAtOnce = true;
    const options = { onStoreFailure: 'local', waitMs: 0, holdAtLeastMs: 5000 } as const;
    await semaphores.acquire('b', options);
    const both = semaphores.acquire(['a', 'b'], options);
    await expect(both).rejects.toMatchObject({ key: 'b', reason: 'busy' });
    expect((await semaphores.acquire('a', options)).degraded).toBe(true);
  });

  test('serves by priority, then arrival, and lets nobody pass a heavy waiter', async () => {
    const served: string[] = [];
    const holder = await local({ weight: 2 });
    const wait = (name: string, options: object) =>
      local(options).then(async (permit) => {
        served.push(name);
        await permit.release();
      });
    const waits = [wait('heavy', { weight: 2 })];
    await store.clock.advance(0);
    waits.push(wait('light', {}));
    await store.clock.advance(0);
    waits.push(wait('urgent', { priority: 1 }));
    await store.clock.advance(0);
    await holder.release();
    await Promise.all(waits);
    expect(served).toEqual(['urgent', 'heavy', 'light']);
  });

  test('rejects as the store does', async () => {
    const holder = await local({ weight: 2 });
    await expect(local({ waitMs: 0 })).rejects.toMatchObject({ reason: 'busy' });
    await expect(local({ maxWaiting: 0 })).rejects.toMatchObject({ reason: 'queue-full' });
    const late = local({ waitMs: 100 });
    await store.clock.advance(100);
    await expect(late).rejects.toMatchObject({ reason: 'timeout' });
    const closed = local();
    await store.clock.advance(0);
    semaphores.beginClose();
    await expect(closed).rejects.toMatchObject({ code: 'SEMAPHORE_CLOSED' });
    expect(await holder.release()).toBe('released');
  });

  test('lets nobody in while all are sent away, or whose own signal is aborted', async () => {
    const holder = await local();
    const both = [local({ weight: 2 }), local()];
    await store.clock.advance(0);
    const aborter = new AbortController();
    const { signal } = aborter;
    const given = [local({ weight: 2, priority: 2, signal }), local({ priority: 1, signal })];
    await store.clock.advance(0);
    aborter.abort();
    for (const one of given) await expect(one).rejects.toMatchObject({ code: 'SEMAPHORE_ABORTED' });
    semaphores.beginClose();
    for (const one of both) await expect(one).rejects.toMatchObject({ code: 'SEMAPHORE_CLOSED' });
    expect(await holder.release()).toBe('released');
  });

  test('lasts for as long as the store is away: who waits asks it again, in their order', async () => {
    store.client.down(new Error('gone'));
    await local({ permits: 1 });
    const old = await Promise.all(
      [0, 1].map(async (priority) => {
        const options = { onStoreFailure: 'local', priority, maxWaiting: 2 } as const;
        const waiting = semaphores.acquire('k', options);
        const { id, fail } = await store.take('acquire');
        fail(new StoreUnavailableError('no reply'));
        return { id, waiting };
      }),
    );
    await store.clock.advance(0);
    store.client.up();
    const again = [await store.take('acquire'), await store.take('acquire')];
    // However many others there are by now: who was let in to wait is not turned away.
    expect(again.map(({ args }) => args[0])).toMatchObject([
      { priority: 1, maxWaiting: Infinity },
      { priority: 0, maxWaiting: Infinity },
    ]);
    // Cancels of the old ids may be repeated.
    const ids = [...old, ...again].map(({ id }) => id);
    expect(new Set(ids).size).toBe(4);
    again[0]!.answer({ status: 'granted', grant: store.grant() });
    expect(await old[1]!.waiting).toMatchObject({ degraded: false, id: again[0]!.id });
    again[1]!.fail(nothingDone());
    expect(await settled(old[0]!.waiting)).toBe('pending');
  });

  test('ends when the store answers who comes later, though it was never told to be away', async () => {
    await local({ permits: 1 });
    const waiting = local({ permits: 1 });
    await store.clock.advance(0);
    const later = semaphores.acquire('k', { onStoreFailure: 'local' });
    later.catch(() => undefined);
    (await store.take('acquire')).answer({ status: 'waiting' });
    const again = await store.take('acquire');
    again.answer({ status: 'granted', grant: store.grant() });
    expect(await waiting).toMatchObject({ degraded: false, id: again.id });
  });

  test.each([
    ['grants', (call: Call<'acquire'>) => call.answer({ status: 'granted', grant: store.grant() })],
    ['refuses', (call: Call<'acquire'>) => call.answer({ status: 'queue-full', retryAfterMs: 1 })],
    ['cannot do', (call: Call<'acquire'>) => call.fail(new StoreUnavailableError('no reply'))],
  ])('is not taken to be over by what the store %s of the call before', async (_, end) => {
    await local({ weight: 2 });
    const waiting = semaphores.acquire('k', { onStoreFailure: 'local', permits: 2 });
    const before = await store.take('acquire');
    // Such as a grant that its replicas do not confirm, ahead of the answer.
    store.client.failed('k', before.id, new StoreUnavailableError('not confirmed'));
    store.client.down(new Error('gone'));
    store.client.up();
    const after = await store.take('acquire');
    expect(after.id).not.toBe(before.id);
    end(before);
    expect(await settled(waiting)).toBe('pending');
    after.answer({ status: 'granted', grant: store.grant() });
    expect(await waiting).toMatchObject({ degraded: false, id: after.id });
  });

  test('ignores what the store says later about the same acquisition', async () => {
    await local({ weight: 2 });
    const waiting = semaphores.acquire('k', { onStoreFailure: 'local', permits: 2 });
    const call = await store.take('acquire');
    call.fail(new StoreUnavailableError('no reply'));
    await store.clock.advance(0);
    store.client.granted('k', call.id, store.grant());
    expect(await settled(waiting)).toBe('pending');
    expect(store.calls.filter(({ id }) => id === call.id)).toHaveLength(2);
  });
});

describe('closing', () => {
  test('rejects who waits, takes nobody new, and gives back what is being released', async () => {
    const held = await store.hold(semaphores, {});
    const waiting = semaphores.acquire('k');
    const call = await store.take('acquire');
    call.answer({ status: 'waiting' });
    await store.clock.advance(0);

    semaphores.beginClose();
    await expect(waiting).rejects.toMatchObject({ code: 'SEMAPHORE_CLOSED', key: 'k' });
    await expect(semaphores.acquire('k')).rejects.toMatchObject({ code: 'SEMAPHORE_CLOSED' });
    expect(held.isHeld).toBe(true);
    void held.release();
    const closed = semaphores.close();
    (await store.take('cancel')).answer();
    expect(store.isClosed).toBe(false);
    (await store.take('release')).answer('released');
    await closed;
    expect(store.isClosed).toBe(true);
    expect(store.clock.pendingTimers).toBe(0);
    await expect(semaphores.inspect('k')).rejects.toMatchObject({ code: 'SEMAPHORE_CLOSED' });
  });

  test('waits for a store that does not answer no longer than storeTimeoutMs', async () => {
    const held = await store.hold(semaphores, {});
    void held.release();
    const closed = semaphores.close();
    expect(semaphores.close()).toBe(closed);
    await store.clock.advance(999);
    expect(store.isClosed).toBe(false);
    await store.clock.advance(1);
    await closed;
    expect(store.isClosed).toBe(true);
  });
});
