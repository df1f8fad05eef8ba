import { inspect } from 'node:util';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { PermitLostError, StoreUnavailableError } from '../../../lib/semaphore.errors.js';
import { SemaphoreService } from '../../../lib/semaphore.service.js';
import { ScriptedStore } from './scripted-store.js';

let store: ScriptedStore;
let semaphores: SemaphoreService;

beforeEach(() => {
  store = new ScriptedStore();
  semaphores = new SemaphoreService({ store, log: 'none' });
});

/** Waits and gets its grant by a message. */
const wait = async (options: Parameters<SemaphoreService['acquire']>[1], leaseMs = 4000) => {
  const permit = semaphores.acquire('k', options);
  const call = await store.take('acquire');
  call.answer({ status: 'waiting' });
  await store.clock.advance(0);
  store.client.granted('k', call.id, store.grant(leaseMs, true));
  return permit;
};

describe('renewal', () => {
  test('comes after a third of the lease at the latest, again and again', async () => {
    const permit = await store.hold(semaphores, { leaseMs: 3000 });
    for (let i = 0; i < 5; i++) {
      await store.clock.advance(1000);
      const call = await store.take('renew');
      expect(call.args).toEqual(['k', 3000]);
      call.answer(store.lease(3000));
      await store.clock.advance(0);
      expect(permit.remainingMs).toBeGreaterThan(2900);
    }
    expect(permit.expiresAt).toBeGreaterThanOrEqual(store.clock.wallTime() + 2900);
  });

  test('of permits with the same lease travels together', async () => {
    for (let i = 0; i < 100; i++) {
      await store.hold(semaphores, { leaseMs: 30_000 });
      await store.clock.advance(97);
    }
    let turns = 0;
    let renewals = 0;
    for (let second = 0; second < 60; second += 0.5) {
      await store.clock.advance(500);
      if (store.count('renew') > 0) turns++;
      while (store.count('renew') > 0) {
        renewals++;
        (await store.take('renew')).answer(store.lease(30_000));
      }
    }
    expect(renewals).toBeLessThanOrEqual(700);
    expect(turns).toBeLessThanOrEqual(13);
  });

  test('of a grant that is to be claimed is for the whole lease, also where that takes longer than maxHoldMs', async () => {
    const asked = semaphores.acquire('k', { leaseMs: 30_000, maxHoldMs: 20 });
    const call = await store.take('acquire');
    call.answer({ status: 'waiting' });
    await store.clock.advance(0);
    store.client.granted('k', call.id, store.grant(2000, true));
    store.clock.block(30);
    const claim = await store.take('renew');
    expect(claim.args).toEqual(['k', 30_000]);
    claim.answer(store.lease(30_000));
    await store.clock.advance(29_000);
    expect((await asked).isHeld).toBe(true);
  });

  test('of an endless lease asks whether the store still knows it, and is no event', async () => {
    const told: string[] = [];
    semaphores.events.subscribe(({ type }) => told.push(type));
    const permit = await store.hold(semaphores, { leaseMs: Infinity });
    await store.clock.advance(10_000);
    (await store.take('renew')).answer(store.lease(Infinity));
    await store.clock.advance(10_000);
    expect([permit.isHeld, permit.remainingMs]).toEqual([true, Infinity]);
    (await store.take('renew')).answer(null);
    await store.clock.advance(0);
    expect(permit.signal.reason).toMatchObject({ reason: 'expired' });
    expect(told).toEqual(['acquired', 'lost']);
  });

  test('of a lease that is not renewed only asks, when the store was away', async () => {
    const [kept, lost] = [
      await store.hold(semaphores, { leaseMs: 30_000, renew: false }),
      await store.hold(semaphores, { leaseMs: 30_000, renew: false }),
    ];
    await store.clock.advance(9_000);
    store.client.down(new Error('away'));
    store.client.up();
    await store.clock.advance(1_000);
    const asked = [await store.take('renew'), await store.take('renew')];
    for (const { args } of asked) expect(args[1]).toBeLessThanOrEqual(21_000);
    asked.find(({ id }) => id === kept.id)?.answer(store.lease(20_000));
    asked.find(({ id }) => id === lost.id)?.answer(null);
    await store.clock.advance(0);
    expect([kept.isHeld, lost.isHeld]).toEqual([true, false]);
    expect(kept.remainingMs).toBeLessThanOrEqual(20_000);
    await store.clock.advance(20_000);
    expect(store.count('renew')).toBe(0);
    expect(kept.isHeld).toBe(false);
  });

  test('does not happen with renew: false, or after maxHoldMs', async () => {
    const short = await store.hold(semaphores, { leaseMs: 3000, renew: false });
    const bounded = await store.hold(semaphores, { leaseMs: 9000, maxHoldMs: 3500 });
    await store.clock.advance(3000);
    (await store.take('renew')).answer(store.lease(9000));
    await store.clock.advance(8000);
    expect(bounded.isHeld).toBe(true);
    await store.clock.advance(1000);
    expect(store.count('renew')).toBe(0);
    expect([short.isHeld, bounded.isHeld]).toEqual([false, false]);
  });

  test('is tried again until the lease ends, and then the permit is lost', async () => {
    const permit = await store.hold(semaphores, { leaseMs: 3000 });
    const { signal } = permit;
    let attempts = 0;
    while (!signal.aborted) {
      await store.clock.advance(50);
      while (store.count('renew') > 0) {
        attempts++;
        (await store.take('renew')).fail(new StoreUnavailableError('gone'));
      }
    }
    expect(attempts).toBeGreaterThan(5);
    expect(store.clock.now()).toBeLessThanOrEqual(3000);
    expect(signal.reason).toMatchObject({ reason: 'expired', permitId: permit.id });
    expect(await permit.release()).toBe('expired');
    expect((await store.take('cancel')).id).toBe(permit.id);
    expect(store.count('release')).toBe(0);
  });

  test('that failed once changes nothing', async () => {
    const permit = await store.hold(semaphores, { leaseMs: 3000 });
    await store.clock.advance(1000);
    (await store.take('renew')).fail(new StoreUnavailableError('gone'));
    await store.clock.advance(300);
    (await store.take('renew')).answer(store.lease(3000));
    await store.clock.advance(0);
    expect(permit.isHeld).toBe(true);
    expect(permit.remainingMs).toBeGreaterThan(2900);
  });

  test('whose answer comes after the release changes nothing', async () => {
    const permit = await store.hold(semaphores, { leaseMs: 3000 });
    const { signal } = permit;
    await store.clock.advance(1000);
    const renewal = await store.take('renew');
    const released = permit.release();
    renewal.answer(store.lease(3000));
    (await store.take('release')).answer('released');
    expect(await released).toBe('released');
    await store.clock.advance(60_000);
    expect(signal.aborted).toBe(false);
    expect(store.calls).toEqual([]);
    expect(store.clock.pendingTimers).toBe(0);
  });

  test('that says the permit is not held any more loses it', async () => {
    const permit = await store.hold(semaphores, { leaseMs: 3000 });
    await store.clock.advance(1000);
    (await store.take('renew')).answer(null);
    await store.clock.advance(0);
    expect(permit.isHeld).toBe(false);
    expect(permit.signal.reason).toBeInstanceOf(PermitLostError);
  });
});

describe('a grant that came by a message', () => {
  test('is held for its whole lease once it is claimed', async () => {
    const permit = await wait({});
    (await store.take('renew')).answer(store.lease(30_000));
    await store.clock.advance(0);
    expect(permit.remainingMs).toBeGreaterThan(29_000);
  });

  test('is claimed when its holder gets it', async () => {
    await wait({});
    const call = await store.take('renew');
    expect(call.args[1]).toBe(30_000);
    call.answer(store.lease(30_000));
    await store.clock.advance(2000);
    expect(store.count('renew')).toBe(0);
  });

  test('needs no claim when its holder gives it back in the same turn', async () => {
    const permit = await wait({});
    const released = permit.release();
    (await store.take('release')).answer('released');
    expect(await released).toBe('released');
    await store.clock.advance(5000);
    expect(store.calls).toEqual([]);
  });

  test('is lost when it could not be claimed in time', async () => {
    const permit = await wait({});
    (await store.take('renew')).fail(new Error('no answer'));
    await store.clock.advance(1000);
    expect(permit.isHeld).toBe(true);
    expect(store.count('renew')).toBeGreaterThan(0);
    await store.clock.advance(4000);
    expect(permit.isHeld).toBe(false);
    expect(permit.signal.reason).toBeInstanceOf(PermitLostError);
  });

  test.each([{ renew: false }, { leaseMs: Infinity }])(
    'is claimed before its holder gets it, with %j',
    async (options) => {
      const permit = semaphores.acquire('k', options);
      const first = await store.take('acquire');
      first.answer({ status: 'waiting' });
      await store.clock.advance(0);
      store.client.granted('k', first.id, store.grant(4000, true));
      const call = await store.take('acquire');
      expect(call.id).toBe(first.id);
      expect(await Promise.race([permit, Promise.resolve('still waiting')])).toBe('still waiting');
      call.answer({ status: 'granted', grant: store.grant(60_000) });
      expect((await permit).remainingMs).toBeGreaterThan(50_000);
      await store.clock.advance(10_000);
      expect(store.count('renew')).toBe(0);
    },
  );
});

describe('the end of the lease', () => {
  test('is told to the holder before the store can know of it', async () => {
    const permit = await store.hold(semaphores, { leaseMs: 1000, renew: false });
    let abortedAt = Infinity;
    permit.signal.addEventListener('abort', () => (abortedAt = store.clock.now()));
    await store.clock.advance(2000);
    expect(abortedAt).toBeLessThan(1000);
    expect(abortedAt).toBeGreaterThan(980);
  });

  test('is known even when no timer could fire', async () => {
    const permit = await store.hold(semaphores, { leaseMs: 1000, renew: false });
    const other = await store.hold(semaphores, { leaseMs: 1000, renew: false });
    store.clock.block(1000);
    expect(permit.remainingMs).toBe(0);
    expect(permit.isHeld).toBe(false);
    expect(other.signal.aborted).toBe(true);
    await expect(permit.renew()).rejects.toBeInstanceOf(PermitLostError);
    expect(await permit.release()).toBe('expired');
  });

  test.each([true, false])(
    'is told soon after the machine slept, renewed %s: its timers stood still',
    async (renew) => {
      const permit = await store.hold(semaphores, { leaseMs: 30_000, renew });
      const { signal } = permit;
      await store.clock.advance(500);
      store.clock.block(3_600_000);
      await store.clock.advance(1000);
      expect(signal.reason).toBeInstanceOf(PermitLostError);
    },
  );

  test('by force is told at once', async () => {
    const permit = await store.hold(semaphores, {});
    const { signal } = permit;
    store.client.revoked('k', permit.id);
    expect(signal.reason).toMatchObject({ reason: 'forced' });
    expect(await permit.release()).toBe('expired');
    expect(store.calls).toEqual([]);
  });
});

describe('renew(ms)', () => {
  test('checks its argument', async () => {
    const permit = await store.hold(semaphores, {});
    await expect(permit.renew(0)).rejects.toMatchObject({ option: 'leaseMs' });
    expect(store.calls).toEqual([]);
  });

  test('makes the lease longer, and automatic renewals do not cut it', async () => {
    const permit = await store.hold(semaphores, { leaseMs: 3000 });
    const renewed = permit.renew(60_000);
    (await store.take('renew')).answer(store.lease(60_000));
    await renewed;
    await store.clock.advance(50_000);
    expect(store.count('renew')).toBe(0);
    await store.clock.advance(8000);
    expect(store.count('renew')).toBe(1);
  });

  test('that makes the lease shorter counts from the moment it was sent, also when the reply is lost', async () => {
    const permit = await store.hold(semaphores, { leaseMs: 30_000, renew: false });
    const renewed = permit.renew(100);
    expect(permit.remainingMs).toBeLessThanOrEqual(100);
    (await store.take('renew')).fail(new StoreUnavailableError('no reply'));
    await expect(renewed).rejects.toBeInstanceOf(StoreUnavailableError);
    await store.clock.advance(100);
    expect(permit.isHeld).toBe(false);
  });

  test('outweighs the reply to an earlier renewal', async () => {
    const permit = await store.hold(semaphores, { leaseMs: 3000 });
    await store.clock.advance(1000);
    const automatic = await store.take('renew');
    const renewed = permit.renew(500);
    automatic.answer(store.lease(3000));
    await store.clock.advance(0);
    expect(permit.remainingMs).toBeLessThanOrEqual(500);
    (await store.take('renew')).answer(store.lease(500));
    await renewed;
    expect(permit.remainingMs).toBeLessThanOrEqual(500);
  });

  test('that was sent again, and is done after a later one, leaves the shorter lease', async () => {
    const permit = await store.hold(semaphores, { leaseMs: 30_000 });
    const earlier = permit.renew(1000);
    const later = permit.renew(20_000);
    const [first, second] = [await store.take('renew'), await store.take('renew')];
    second.answer(store.lease(20_000));
    await later;
    expect(permit.remainingMs).toBeGreaterThan(19_000);
    first.answer(store.lease(1000));
    await earlier;
    expect(permit.remainingMs).toBeLessThanOrEqual(1000);
    // It is renewed in time.
    await store.clock.advance(700);
    expect(store.count('renew')).toBe(1);
  });

  test('whose fate is unknown may have been done after a later one', async () => {
    const permit = await store.hold(semaphores, { leaseMs: 30_000, renew: false });
    const [earlier, later] = [permit.renew(1000), permit.renew(20_000)];
    const [first, second] = [await store.take('renew'), await store.take('renew')];
    second.answer(store.lease(20_000));
    await later;
    first.fail(new StoreUnavailableError('no reply'));
    await expect(earlier).rejects.toBeInstanceOf(StoreUnavailableError);
    expect(permit.remainingMs).toBeLessThanOrEqual(1000);
  });

  test('that was certainly not done changes nothing', async () => {
    const permit = await store.hold(semaphores, { leaseMs: 30_000, renew: false });
    const [earlier, later] = [permit.renew(1000), permit.renew(20_000)];
    const [first, second] = [await store.take('renew'), await store.take('renew')];
    second.answer(store.lease(20_000));
    await later;
    first.fail(new StoreUnavailableError('refused', 'k', undefined, true));
    await expect(earlier).rejects.toBeInstanceOf(StoreUnavailableError);
    expect(permit.remainingMs).toBeGreaterThan(19_000);
  });

  /** A permit whose endless lease was given an end, before the store was away for a moment. */
  const endlessUntilNow = async () => {
    const permit = await store.hold(semaphores, { leaseMs: Infinity });
    const renewed = permit.renew(4000);
    (await store.take('renew')).answer(store.lease(4000));
    await renewed;
    store.client.down(new Error('away'));
    store.client.up();
    return permit;
  };

  test('that ends an endless lease stays when the store, which was away, is asked after it', async () => {
    const permit = await endlessUntilNow();
    await store.clock.advance(1000);
    const asked = await store.take('renew');
    expect(asked.args[1]).toBeLessThanOrEqual(4000);
    asked.answer(store.lease(3000));
    await store.clock.advance(3000);
    expect(store.count('renew')).toBe(0);
    expect(permit.isHeld).toBe(false);
  });

  test('that ends an endless lease stays, also when the store was away or did not answer', async () => {
    const permit = await endlessUntilNow();
    const again = permit.renew(3000);
    (await store.take('renew')).fail(new StoreUnavailableError('no reply'));
    await expect(again).rejects.toBeInstanceOf(StoreUnavailableError);
    await store.clock.advance(2900);
    expect(store.count('renew')).toBe(0);
    await store.clock.advance(100);
    expect(permit.isHeld).toBe(false);
  });
});

describe('release', () => {
  test('happens once, however often it is called', async () => {
    const permit = await store.hold(semaphores, { holdAtLeastMs: 50 });
    const released = permit.release();
    expect(permit.release()).toBe(released);
    const call = await store.take('release');
    expect(call.args).toEqual(['k', 50]);
    call.answer('released');
    expect(await released).toBe('released');
    await permit[Symbol.asyncDispose]();
    expect(store.calls).toEqual([]);
  });

  test('goes on in the background when the store fails', async () => {
    const permit = await store.hold(semaphores, { holdAtLeastMs: 50 });
    const released = permit.release();
    (await store.take('release')).fail(new StoreUnavailableError('gone'));
    expect(await released).toBe('released');
    store.client.granted('k', permit.id, store.grant());
    await store.clock.advance(1000);
    const again = await store.take('release');
    expect([again.id, ...again.args]).toEqual([permit.id, 'k', 50]);
    again.answer('released');
    await store.clock.advance(5000);
    expect(store.calls).toEqual([]);
  });

  test('tells when the store had given the permit to others', async () => {
    const permit = await store.hold(semaphores, {});
    const released = permit.release();
    (await store.take('release')).answer('expired');
    expect(await released).toBe('expired');
  });
});

describe('what a permit says of itself', () => {
  test('as JSON and in a log is what there is to know, and nothing of how it is kept', async () => {
    const permit = await store.hold(semaphores, { label: 'me' });
    const { id, acquiredAt, expiresAt } = permit;
    expect(JSON.parse(JSON.stringify(permit))).toEqual({
      id,
      key: 'k',
      keys: ['k'],
      weight: 1,
      label: 'me',
      fencingToken: permit.fencingToken,
      fencingTokens: { k: permit.fencingToken },
      acquiredAt,
      expiresAt,
      isHeld: true,
      degraded: false,
    });
    expect(inspect(permit)).not.toContain('keeper');
  });

  test('is the same of one that is borrowed, and as much of several keys', async () => {
    const inMemory = new SemaphoreService({ log: 'none' });
    await inMemory.scope(async () => {
      const [own, borrowed] = [await inMemory.use('a'), await inMemory.use('a')];
      expect(JSON.stringify(borrowed)).toBe(JSON.stringify(own));
    });
    await using both = await inMemory.acquire(['a', 'b']);
    expect(JSON.parse(JSON.stringify(both))).toMatchObject({
      keys: ['a', 'b'],
      fencingTokens: Object.fromEntries(both.fencingTokens),
      isHeld: true,
    });
    await inMemory.close();
  });
});
