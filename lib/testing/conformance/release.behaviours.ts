import assert from 'node:assert/strict';
import { assertNear, type Behaviours, SHORT_MS } from './scene.js';

export const releaseBehaviours: Behaviours = {
  'frees a released permit once': async ({ key, join }) => {
    const peer = join();
    const one = await peer.hold(key, { permits: 2 });
    const other = await peer.hold(key, { permits: 2 });
    assert.equal(await peer.session.release(key, one.id, 0), 'released');
    assert.equal(await peer.session.release(key, one.id, 0), 'expired');
    assert.deepEqual(await peer.holders(key), [other.id]);
    assert.equal((await peer.session.inspect(key)).held, 1);
  },

  'frees the weight of the released permit, no more': async ({ key, join }) => {
    const peer = join();
    const heavy = await peer.hold(key, { permits: 5, weight: 3 });
    await peer.hold(key, { permits: 5, weight: 2 });
    await peer.session.release(key, heavy.id, 0);
    const { held, available } = await peer.session.inspect(key);
    assert.deepEqual({ held, available }, { held: 2, available: 3 });
  },

  'does not release the next holder when a release is sent twice': async ({ key, join }) => {
    const [one, other] = [join(), join()];
    const { id } = await one.hold(key);
    const waiter = await other.wait(key);
    const outcomes = await Promise.all([
      one.session.release(key, id, 0),
      one.session.release(key, id, 0),
    ]);
    assert.deepEqual(outcomes, ['released', 'expired']);
    await other.grant(waiter);
    assert.equal(await one.session.release(key, id, 0), 'expired');
    assert.deepEqual(await one.holders(key), [waiter]);
  },

  'releases neither a waiter nor a stranger': async ({ key, join }) => {
    const peer = join();
    await peer.hold(key);
    const waiter = await peer.wait(key);
    assert.equal(await peer.session.release(key, waiter, 0), 'expired');
    assert.equal(await peer.session.release(key, 'stranger', 0), 'expired');
    assert.equal(await peer.session.release(`${key}:other`, 'stranger', 0), 'expired');
    assert.deepEqual(await peer.waiters(key), [waiter]);
  },

  'cancels a holder and hands its permit on': async ({ key, join }) => {
    const [one, other] = [join(), join()];
    const { id } = await one.hold(key);
    const waiter = await other.wait(key);
    await one.session.cancel(key, id);
    await other.grant(waiter);
    assert.deepEqual(await one.holders(key), [waiter]);
    assert.equal(await one.session.release(key, id, 0), 'expired');
  },

  'cancels a waiter, which is never served then': async ({ key, join }) => {
    const [one, other] = [join(), join()];
    const { id } = await one.hold(key);
    const first = await other.wait(key);
    const second = await one.wait(key);
    await other.session.cancel(key, first);
    assert.deepEqual(await one.waiters(key), [second]);
    await one.session.release(key, id, 0);
    await one.grant(second);
    assert.equal(other.hasGrant(first), false);
  },

  'cancels a waiter that has become a holder meanwhile': async ({ key, join }) => {
    const [one, other] = [join(), join()];
    const { id } = await one.hold(key);
    const first = await other.wait(key);
    const second = await one.wait(key);
    await Promise.all([one.session.release(key, id, 0), other.session.cancel(key, first)]);
    await one.grant(second);
    assert.deepEqual(await one.holders(key), [second]);
  },

  'leaves alone what another session has asked for since under the same id': async ({
    key,
    join,
  }) => {
    const [one, other] = [join(), join()];
    const { id, grant } = await one.hold(key, { permits: 2 });
    const again = await other.hold(key, { permits: 2, id });
    assert.equal(again.grant.fencingToken, grant.fencingToken);
    await one.session.cancel(key, id);
    assert.deepEqual(await one.holders(key), [id]);
    await other.session.cancel(key, id);
    assert.deepEqual(await one.keys(`*${key}*`), []);
  },

  'takes one permit for an id that two sessions wait with': async ({ key, join }) => {
    const [one, other, holder] = [join(), join(), join()];
    const { id: first } = await holder.hold(key, { permits: 2, weight: 2 });
    const id = await one.wait(key, { permits: 2 });
    await other.wait(key, { permits: 2, id });
    await holder.session.release(key, first, 0);
    const { fencingToken } = await other.grant(id);
    assert.equal((await other.session.inspect(key)).held, 1);
    assert.equal((await other.hold(key, { permits: 2, id })).grant.fencingToken, fencingToken);
    await one.session.cancel(key, id);
    assert.deepEqual(await one.holders(key), [id]);
    assert.equal(await other.session.release(key, id, 0), 'released');
    assert.equal((await other.session.inspect(key)).held, 0);
  },

  'takes no harm from cancelling twice, or what was never there': async ({ key, join }) => {
    const peer = join();
    const { id } = await peer.hold(key);
    const waiter = await peer.wait(key);
    await peer.session.cancel(key, 'stranger');
    await peer.session.cancel(`${key}:other`, 'stranger');
    assert.deepEqual(await peer.holders(key), [id]);
    await peer.session.cancel(key, waiter);
    await peer.session.cancel(key, waiter);
    assert.deepEqual(await peer.waiters(key), []);
    await peer.session.cancel(key, id);
    await peer.session.cancel(key, id);
    assert.deepEqual(await peer.keys(`*${key}*`), []);
  },

  'leaves nothing of an acquire that is cancelled in the same turn': async ({ key, join }) => {
    const peer = join();
    const [holder, waiter] = [peer.request(key), peer.request(key)];
    const settled = await Promise.allSettled([
      peer.session.acquire(holder),
      peer.session.acquire(waiter),
      peer.session.cancel(key, waiter.id),
      peer.session.cancel(key, holder.id),
    ]);
    assert.deepEqual(
      settled.slice(2).map(({ status }) => status),
      ['fulfilled', 'fulfilled'],
    );
    const { held, holders, waiters } = await peer.session.inspect(key);
    assert.deepEqual({ held, holders, waiters }, { held: 0, holders: [], waiters: [] });
  },

  'keeps a released permit taken for as long as it asks': async (scene) => {
    const { key, join, advance, assertOnTime } = scene;
    const [one, other] = [join(), join()];
    const { id, grant } = await one.hold(key, { leaseMs: 60_000 });
    assert.equal(await one.session.release(key, id, SHORT_MS), 'released');
    assert.equal(await other.isFree(key), false);
    const waiter = await other.wait(key);
    await advance(SHORT_MS);
    assertOnTime(await other.grantedAt(waiter), grant.deadline - 60_000 + SHORT_MS);
    assert.ok((await other.grant(waiter)).acquiredAt >= grant.acquiredAt + SHORT_MS);
  },

  'tells who is refused how long the only permit is kept': async ({ key, join }) => {
    const peer = join();
    const { id } = await peer.hold(key, { leaseMs: 30_000 });
    await peer.session.release(key, id, 90_000);
    const reply = await peer.acquire(key, { wait: false });
    assert.ok('retryAfterMs' in reply);
    assert.ok(reply.retryAfterMs > 70_000 && reply.retryAfterMs <= 90_001);
  },

  'shows a permit that is kept as a holder until then': async ({ key, join }) => {
    const peer = join();
    const { id, grant } = await peer.hold(key, { leaseMs: 1_000 });
    await peer.session.release(key, id, 30_000);
    const { held, holders } = await peer.session.inspect(key);
    assert.equal(held, 1);
    assert.equal(holders[0]?.id, id);
    assert.equal(holders[0].fencingToken, grant.fencingToken);
    assertNear(holders[0].expiresAt, grant.acquiredAt + 30_000);
  },

  'keeps a permit beyond its lease, and never beyond what was asked': async (scene) => {
    const { key, tag, join, advance } = scene;
    const peer = join();
    const short = await peer.hold(key, { leaseMs: SHORT_MS });
    await peer.session.release(key, short.id, 60_000);
    const endless = await peer.hold(`endless:${tag}`, { leaseMs: Infinity });
    await peer.session.release(`endless:${tag}`, endless.id, SHORT_MS);
    await advance(SHORT_MS + 5);
    assert.equal(await peer.isFree(key), false);
    assert.equal(await peer.isFree(`endless:${tag}`), true);
  },

  'does not let a kept permit be renewed, released, cancelled or had again': async ({
    key,
    join,
  }) => {
    const peer = join();
    const { id } = await peer.hold(key);
    await peer.session.release(key, id, 60_000);
    assert.equal(await peer.session.release(key, id, 0), 'expired');
    assert.equal(await peer.session.renew(key, id, 100), null);
    await peer.session.cancel(key, id);
    const again = await peer.acquire(key, { id, wait: false });
    assert.equal(again.status, 'busy');
    assert.deepEqual(await peer.holders(key), [id]);
  },

  'frees at once what was held as long as it had to be': async ({ key, join, advance }) => {
    const peer = join();
    const { id } = await peer.hold(key);
    await advance(30);
    assert.equal(await peer.session.release(key, id, 20), 'released');
    assert.equal(await peer.isFree(key), true);
  },

  'frees a kept permit by force': async ({ key, join }) => {
    const [one, other] = [join(), join()];
    const { id } = await one.hold(key);
    await one.session.release(key, id, 60_000);
    const waiter = await other.wait(key);
    assert.equal(await other.session.forceRelease(key, id), true);
    await other.grant(waiter);
  },
};
