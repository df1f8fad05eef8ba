import assert from 'node:assert/strict';
import { assertNear, type Behaviours, range, ROUNDING_MS, SHORT_MS } from './scene.js';

export const leaseBehaviours: Behaviours = {
  'frees a permit when its lease ends': async ({ key, join, advance }) => {
    const peer = join();
    await peer.hold(key, { leaseMs: SHORT_MS });
    await advance(SHORT_MS + 5);
    assert.deepEqual(await peer.holders(key), []);
    assert.deepEqual(await peer.keys(`*${key}*`), []);
    assert.equal(await peer.isFree(key), true);
  },

  'hands an ended permit on in time, without being asked': async (scene) => {
    const { key, join, advance, assertOnTime } = scene;
    const [one, other] = [join(), join()];
    const { grant } = await one.hold(key, { leaseMs: SHORT_MS });
    const waiter = await other.wait(key);
    await advance(SHORT_MS);
    assertOnTime(await other.grantedAt(waiter), grant.deadline);
  },

  'does not hand a permit on before its deadline': async ({ key, join, advance, store }) => {
    const peer = join();
    const { grant } = await peer.hold(key, { leaseMs: SHORT_MS });
    for (;;) {
      const isFree = await peer.isFree(key);
      const time = store.clock.now();
      if (isFree) assert.ok(time >= grant.deadline, `${grant.deadline - time} ms early`);
      if (time > grant.deadline + 5) break;
      await advance(7);
    }
  },

  'goes from one crashed holder to the next, each with its whole lease': async (scene) => {
    const { key, join, advance, assertOnTime } = scene;
    const [one, other] = [join(), join()];
    let last = (await one.hold(key, { leaseMs: SHORT_MS })).grant;
    // What a session knows of the store's clock is as old as its call: not as a connection that is still to be opened.
    await other.session.inspect(key);
    const first = await other.wait(key, { leaseMs: SHORT_MS });
    const second = await one.wait(key, { leaseMs: SHORT_MS });
    for (const [peer, id] of [[other, first] as const, [one, second] as const]) {
      await advance(SHORT_MS);
      const grantedAt = await peer.grantedAt(id);
      assertOnTime(grantedAt, last.deadline);
      const grant = await peer.grant(id);
      assertNear(grant.expiresAt - grant.acquiredAt, SHORT_MS);
      assert.ok(grant.acquiredAt >= last.expiresAt - ROUNDING_MS);
      // As much too early as the session's last call was slow, and never too late.
      assert.ok(grant.deadline > last.deadline);
      assert.ok(grant.deadline <= grantedAt + SHORT_MS + ROUNDING_MS);
      last = grant;
    }
  },

  'ends each of several permits with its own lease': async ({ key, join, advance }) => {
    const peer = join();
    await peer.hold(key, { permits: 3, leaseMs: SHORT_MS });
    const long = await peer.hold(key, { permits: 3 });
    await peer.hold(key, { permits: 3, leaseMs: SHORT_MS });
    await advance(SHORT_MS + 5);
    assert.deepEqual(await peer.holders(key), [long.id]);
    assert.equal((await peer.session.inspect(key)).held, 1);
  },

  'hands the weight of an ended permit to all that fit': async ({ key, join, advance }) => {
    const peer = join();
    await peer.hold(key, { permits: 3, weight: 3, leaseMs: SHORT_MS });
    const waiters = [];
    for (const _ of range(4)) waiters.push(await peer.wait(key, { permits: 3 }));
    await advance(SHORT_MS);
    await Promise.all(waiters.slice(0, 3).map((id) => peer.grant(id)));
    assert.deepEqual(await peer.holders(key), waiters.slice(0, 3));
    assert.deepEqual(await peer.waiters(key), waiters.slice(3));
  },

  'wakes a waiter that came long before the lease it waits for': async (scene) => {
    const { key, join, advance, assertOnTime } = scene;
    const [one, other] = [join(), join()];
    const { id } = await one.hold(key);
    const first = await one.wait(key, { leaseMs: SHORT_MS });
    const second = await other.wait(key);
    await one.session.release(key, id, 0);
    const { deadline } = await one.grant(first);
    await advance(SHORT_MS);
    assertOnTime(await other.grantedAt(second), deadline);
  },

  'says expired when an ended permit is released, and leaves the next one alone': async (scene) => {
    const { key, join, advance } = scene;
    const [one, other] = [join(), join()];
    const { id } = await one.hold(key, { leaseMs: SHORT_MS });
    const waiter = await other.wait(key);
    await advance(SHORT_MS);
    await other.grant(waiter);
    assert.equal(await one.session.release(key, id, 0), 'expired');
    await one.session.cancel(key, id);
    assert.deepEqual(await one.holders(key), [waiter]);
  },

  'does not bring an ended permit back when it is renewed': async ({ key, join, advance }) => {
    const peer = join();
    const { id } = await peer.hold(key, { leaseMs: SHORT_MS });
    await advance(SHORT_MS + 5);
    assert.equal(await peer.session.renew(key, id, 60_000), null);
    assert.deepEqual(await peer.holders(key), []);
  },

  'does not bring a released permit back when it is renewed': async ({ key, join }) => {
    const peer = join();
    const { id } = await peer.hold(key);
    const [outcome, lease] = await Promise.all([
      peer.session.release(key, id, 0),
      peer.session.renew(key, id, 60_000),
    ]);
    assert.equal(outcome, 'released');
    assert.equal(lease, null);
    assert.equal(await peer.isFree(key), true);
  },

  'renews neither a waiter nor a stranger': async ({ key, join }) => {
    const peer = join();
    await peer.hold(key);
    const waiter = await peer.wait(key);
    assert.equal(await peer.session.renew(key, waiter, 60_000), null);
    assert.equal(await peer.session.renew(key, 'stranger', 60_000), null);
    assert.equal(await peer.session.renew(`${key}:other`, 'stranger', 60_000), null);
    assert.deepEqual(await peer.waiters(key), [waiter]);
  },

  'lets a renewed lease end later': async ({ key, join, advance, store }) => {
    const peer = join();
    const { id, grant } = await peer.hold(key, { leaseMs: SHORT_MS });
    const sentAt = store.clock.now();
    const lease = await peer.session.renew(key, id, 60_000);
    assert.ok(lease !== null);
    assert.ok(lease.expiresAt >= grant.acquiredAt + 59_998);
    assert.ok(lease.deadline >= sentAt + 59_998);
    assert.ok(lease.deadline <= store.clock.now() + 60_000);
    await advance(SHORT_MS + 50);
    assert.deepEqual(await peer.holders(key), [id]);
    assert.equal(await peer.isFree(key), false);
  },

  'shows the renewed lease and the same token': async ({ key, join }) => {
    const peer = join();
    const { id, grant } = await peer.hold(key, { leaseMs: 5_000 });
    const lease = await peer.session.renew(key, id, 60_000);
    const [holder] = (await peer.session.inspect(key)).holders;
    assert.equal(holder?.expiresAt, lease?.expiresAt);
    assert.equal(holder?.fencingToken, grant.fencingToken);
    assert.equal(holder?.acquiredAt, grant.acquiredAt);
  },

  'wakes the next waiter when a renewed lease ends': async (scene) => {
    const { key, join, advance, assertOnTime } = scene;
    const [one, other] = [join(), join()];
    const { id } = await one.hold(key, { leaseMs: SHORT_MS });
    const waiter = await other.wait(key);
    const lease = await one.session.renew(key, id, 2 * SHORT_MS);
    assert.ok(lease !== null);
    await advance(2 * SHORT_MS);
    assertOnTime(await other.grantedAt(waiter), lease.deadline);
  },

  'wakes the next waiter earlier when a renewal shortens the lease': async (scene) => {
    const { key, join, advance, assertOnTime } = scene;
    const [one, other] = [join(), join()];
    const { id } = await one.hold(key);
    const waiter = await other.wait(key);
    const lease = await one.session.renew(key, id, SHORT_MS);
    assert.ok(lease !== null);
    await advance(SHORT_MS);
    assertOnTime(await other.grantedAt(waiter), lease.deadline);
  },

  'never ends an infinite lease': async ({ key, join, advance }) => {
    const peer = join();
    const { id, grant } = await peer.hold(key, { leaseMs: Infinity });
    assert.equal(grant.expiresAt, Infinity);
    assert.equal(grant.deadline, Infinity);
    await advance(SHORT_MS);
    const [holder] = (await peer.session.inspect(key)).holders;
    assert.equal(holder?.id, id);
    assert.equal(holder.expiresAt, Infinity);
    assert.equal(await peer.session.release(key, id, 0), 'released');
  },

  'claims an infinite lease for a waiter': async ({ key, join }) => {
    const [one, other] = [join(), join()];
    const { id } = await one.hold(key, { leaseMs: Infinity });
    const waiter = await other.wait(key, { leaseMs: Infinity });
    await one.session.release(key, id, 0);
    const grant = await other.grant(waiter);
    const lease = await other.session.renew(key, waiter, Infinity);
    assert.equal(lease?.expiresAt, Infinity);
    assert.equal(lease.deadline, Infinity);
    const [holder] = (await one.session.inspect(key)).holders;
    assert.equal(holder?.expiresAt, Infinity);
    assert.equal(holder.fencingToken, grant.fencingToken);
  },

  'makes a lease infinite and finite again': async ({ key, join, advance }) => {
    const peer = join();
    const { id } = await peer.hold(key, { leaseMs: SHORT_MS });
    assert.equal((await peer.session.renew(key, id, Infinity))?.deadline, Infinity);
    await advance(SHORT_MS + 50);
    assert.deepEqual(await peer.holders(key), [id]);
    const waiter = await peer.wait(key);
    assert.ok((await peer.session.renew(key, id, SHORT_MS)) !== null);
    await advance(SHORT_MS);
    await peer.grant(waiter);
  },

  'keeps very long leases exact': async ({ key, join }) => {
    const peer = join();
    const { grant } = await peer.hold(key, { leaseMs: 1e12 });
    assertNear(grant.expiresAt - grant.acquiredAt, 1e12);
    const [holder] = (await peer.session.inspect(key)).holders;
    assertNear(holder?.expiresAt ?? 0, grant.expiresAt, 0);
  },
};
