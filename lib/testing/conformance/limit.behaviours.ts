import assert from 'node:assert/strict';
import { at, type Behaviours } from './scene.js';

export const limitBehaviours: Behaviours = {
  'takes the limit that was passed last': async ({ key, join }) => {
    const [one, other] = [join(), join()];
    await one.hold(key, { permits: 2 });
    await other.hold(key, { permits: 5 });
    assert.equal((await one.session.inspect(key)).permits, 5);
    await other.wait(key, { permits: 1 });
    assert.equal((await one.session.inspect(key)).permits, 1);
  },

  'serves waiters at once when a caller raises the limit': async ({ key, join }) => {
    const [one, other] = [join(), join()];
    const first = await one.hold(key, { permits: 1 });
    const second = await one.wait(key, { permits: 1 });
    const third = await other.wait(key, { permits: 1 });
    const fourth = await other.wait(key, { permits: 3 });
    await Promise.all([one.grant(second), other.grant(third)]);
    assert.deepEqual(await one.holders(key), [first.id, second, third]);
    assert.deepEqual(await one.waiters(key), [fourth]);
  },

  'takes nothing from holders when the limit shrinks': async ({ key, join }) => {
    const peer = join();
    const held = [];
    for (let i = 0; i < 4; i++) held.push((await peer.hold(key, { permits: 4 })).id);
    const waiter = await peer.wait(key, { permits: 2 });
    assert.deepEqual(await peer.holders(key), held);
    const { permits, available } = await peer.session.inspect(key);
    assert.deepEqual({ permits, available }, { permits: 2, available: 0 });
    for (const [index, id] of held.slice(0, 3).entries()) {
      assert.deepEqual(await peer.waiters(key), [waiter], `after ${index} releases`);
      await peer.session.release(key, id, 0);
    }
    await peer.grant(waiter);
    assert.equal((await peer.session.inspect(key)).held, 2);
  },

  'tells the process that changed a limit, and only that': async ({ key, join }) => {
    const [one, other] = [join(), join()];
    await one.hold(key, { permits: 2 });
    await one.hold(key, { permits: 2 });
    await other.wait(key, { permits: 1 });
    const change = { key, permits: 1, previous: 2, pinned: false };
    assert.deepEqual(await other.change(), change);
    await one.session.inspect(key);
    assert.deepEqual(one.changes, []);
    assert.equal(other.changes.length, 1);
  },

  'takes no limit from a request that is asked again': async ({ key, join }) => {
    const peer = join();
    const holder = await peer.hold(key, { permits: 3 });
    const waiter = await peer.wait(key, { permits: 3, weight: 3 });
    await peer.wait(key, { permits: 1 });
    await peer.hold(key, { id: holder.id, permits: 3 });
    assert.equal((await peer.session.inspect(key)).permits, 1);
    await peer.wait(key, { id: waiter, permits: 3, weight: 3 });
    assert.equal((await peer.session.inspect(key)).permits, 1);
  },

  'pins a limit, whatever callers pass': async ({ key, join }) => {
    const [one, other] = [join(), join()];
    await one.session.setPermits(key, 2);
    await one.hold(key, { permits: 1 });
    await other.hold(key, { permits: 100 });
    assert.equal(await other.isFree(key, { permits: 100 }), false);
    assert.equal((await other.session.inspect(key)).permits, 2);
    assert.deepEqual(other.changes, []);
  },

  'keeps a pinned limit when nobody holds or waits': async ({ key, join }) => {
    const peer = join();
    await peer.session.setPermits(key, 3);
    const { id } = await peer.hold(key, { permits: 1 });
    await peer.session.release(key, id, 0);
    assert.equal((await peer.session.inspect(key)).permits, 3);
    assert.deepEqual(await peer.keys(`*${key}*`), []);
  },

  'serves waiters at once when a raised limit is pinned': async ({ key, join }) => {
    const [one, other] = [join(), join()];
    const first = await one.hold(key);
    const second = await other.wait(key);
    const third = await other.wait(key);
    await one.session.setPermits(key, 2);
    await other.grant(second);
    assert.deepEqual(await one.holders(key), [first.id, second]);
    assert.deepEqual(await one.waiters(key), [third]);
  },

  'takes nothing from holders when a lower limit is pinned': async ({ key, join }) => {
    const peer = join();
    const first = await peer.hold(key, { permits: 2 });
    const second = await peer.hold(key, { permits: 2 });
    await peer.session.setPermits(key, 1);
    assert.deepEqual(await peer.holders(key), [first.id, second.id]);
    await peer.session.release(key, first.id, 0);
    assert.equal(await peer.isFree(key, { permits: 2 }), false);
    await peer.session.release(key, second.id, 0);
    assert.equal(await peer.isFree(key, { permits: 2 }), true);
  },

  'tells the process that pinned another limit': async ({ key, join }) => {
    const [one, other] = [join(), join()];
    await one.hold(key, { permits: 2 });
    await other.session.setPermits(key, 4);
    assert.deepEqual(await other.change(), { key, permits: 4, previous: 2, pinned: true });
    await other.session.setPermits(key, 4);
    await other.session.inspect(key);
    assert.equal(other.changes.length, 1);
    assert.deepEqual(one.changes, []);
  },

  'takes the next limit that is passed when the pin is cleared': async ({ key, join }) => {
    const peer = join();
    await peer.session.setPermits(key, 1);
    await peer.hold(key, { permits: 3 });
    await peer.session.setPermits(key, null);
    assert.equal((await peer.session.inspect(key)).permits, 1);
    await peer.hold(key, { permits: 3 });
    assert.equal((await peer.session.inspect(key)).permits, 3);
  },

  'serves waiters at once when the pin is cleared, by the limit that they passed last': async ({
    key,
    join,
  }) => {
    const [one, other] = [join(), join()];
    await one.session.setPermits(key, 1);
    const first = await one.hold(key, { permits: 2 });
    const second = await other.wait(key, { permits: 2 });
    const third = await other.wait(key, { permits: 3 });
    const fourth = await other.wait(key, { permits: 3 });
    assert.equal(await one.isFree(key, { permits: 9 }), false);
    await one.session.setPermits(key, null);
    await Promise.all([other.grant(second), other.grant(third)]);
    assert.deepEqual(await one.holders(key), [first.id, second, third]);
    assert.deepEqual(await one.waiters(key), [fourth]);
    assert.equal((await one.session.inspect(key)).permits, 3);
    const cleared = { key, permits: 3, previous: 1, pinned: false };
    assert.deepEqual(await one.change(1), cleared);
    assert.equal(other.changes.length, 0);
  },

  'goes back to the limit before the pin when it is cleared for who waited before it': async ({
    key,
    join,
  }) => {
    const [one, other] = [join(), join()];
    const held = [await one.hold(key, { permits: 2 }), await one.hold(key, { permits: 2 })];
    const waiter = await other.wait(key, { permits: 2 });
    await one.session.setPermits(key, 1);
    await one.session.release(key, at(held, 0).id, 0);
    assert.deepEqual(await one.waiters(key), [waiter]);
    await one.session.setPermits(key, null);
    await other.grant(waiter);
    assert.deepEqual(await one.holders(key), [at(held, 1).id, waiter]);
  },

  'takes no harm from clearing a pin that is not there': async ({ key, join }) => {
    const peer = join();
    await peer.session.setPermits(key, null);
    await peer.hold(key, { permits: 2 });
    await peer.session.setPermits(key, null);
    const { permits, held } = await peer.session.inspect(key);
    assert.deepEqual({ permits, held }, { permits: 2, held: 1 });
  },

  'counts a weight above the limit as the whole limit': async ({ key, join }) => {
    const peer = join();
    await peer.session.setPermits(key, 2);
    const { id } = await peer.hold(key, { permits: 5, weight: 5 });
    const { held, available, holders } = await peer.session.inspect(key);
    assert.deepEqual(
      { held, available, weight: holders[0]?.weight },
      { held: 2, available: 0, weight: 2 },
    );
    await peer.session.release(key, id, 0);
    assert.equal((await peer.session.inspect(key)).held, 0);
  },

  'serves a waiter whose weight the limit has shrunk below': async ({ key, join }) => {
    const peer = join();
    const { id } = await peer.hold(key, { permits: 5 });
    const heavy = await peer.wait(key, { permits: 5, weight: 5 });
    await peer.session.setPermits(key, 3);
    assert.deepEqual(await peer.waiters(key), [heavy]);
    await peer.session.release(key, id, 0);
    await peer.grant(heavy);
    const { held, holders } = await peer.session.inspect(key);
    assert.deepEqual({ held, weight: holders[0]?.weight }, { held: 3, weight: 3 });
  },

  'leaves a holder the weight it was granted with when the limit grows': async ({ key, join }) => {
    const peer = join();
    await peer.session.setPermits(key, 2);
    const { id } = await peer.hold(key, { permits: 4, weight: 4 });
    await peer.session.setPermits(key, 6);
    const { held, available } = await peer.session.inspect(key);
    assert.deepEqual({ held, available }, { held: 2, available: 4 });
    await peer.session.release(key, id, 0);
    assert.equal((await peer.session.inspect(key)).held, 0);
  },
};
