import assert from 'node:assert/strict';
import type { Behaviours } from './scene.js';

export const forceBehaviours: Behaviours = {
  'takes a permit from its holder, tells it, and hands the permit on': async ({ key, join }) => {
    const [owner, other, admin] = [join(), join(), join()];
    const { id } = await owner.hold(key, { leaseMs: Infinity });
    const waiter = await other.wait(key);
    assert.equal(await admin.session.forceRelease(key, id), true);
    await Promise.all([owner.revocation(id), other.grant(waiter)]);
    assert.deepEqual(await admin.holders(key), [waiter]);
    assert.deepEqual([...other.revocations, ...admin.revocations], []);
  },

  'drops a waiter and tells it': async ({ key, join }) => {
    const [owner, admin] = [join(), join()];
    const { id } = await owner.hold(key);
    const dropped = await owner.wait(key);
    const next = await owner.wait(key);
    assert.equal(await admin.session.forceRelease(key, dropped), true);
    await owner.revocation(dropped);
    assert.deepEqual(await admin.waiters(key), [next]);
    await owner.session.release(key, id, 0);
    await owner.grant(next);
    assert.equal(owner.hasGrant(dropped), false);
  },

  'moves the line on when the waiter at its head is dropped': async ({ key, join }) => {
    const [owner, admin] = [join(), join()];
    await owner.hold(key, { permits: 2 });
    const heavy = await owner.wait(key, { permits: 2, weight: 2 });
    const light = await owner.wait(key, { permits: 2 });
    assert.equal(await admin.session.forceRelease(key, heavy), true);
    await owner.grant(light);
  },

  'leaves a holder its permit when only those who wait are meant': async ({ key, join }) => {
    const [owner, admin] = [join(), join()];
    const { id } = await owner.hold(key);
    const waiter = await owner.wait(key);
    assert.equal(await admin.session.forceRelease(key, id, true), false);
    assert.deepEqual(await admin.holders(key), [id]);
    assert.equal(await admin.session.forceRelease(key, waiter, true), true);
    await owner.revocation(waiter);
    assert.deepEqual(await admin.waiters(key), []);
    assert.equal(await admin.session.forceRelease(key, waiter, true), false);
    assert.equal(await owner.session.release(key, id, 0), 'released');
  },

  'tells the process that takes its own permit by force': async ({ key, join }) => {
    const peer = join();
    const { id } = await peer.hold(key);
    assert.equal(await peer.session.forceRelease(key, id), true);
    await peer.revocation(id);
  },

  'says false when there is nothing to take': async ({ key, join }) => {
    const [owner, admin] = [join(), join()];
    const { id } = await owner.hold(key);
    assert.equal(await admin.session.forceRelease(key, 'stranger'), false);
    assert.equal(await admin.session.forceRelease(`${key}:other`, id), false);
    assert.equal(await admin.session.forceRelease(key, id), true);
    assert.equal(await admin.session.forceRelease(key, id), false);
  },

  'leaves the old holder nothing to renew or release': async ({ key, join }) => {
    const [owner, other, admin] = [join(), join(), join()];
    const { id } = await owner.hold(key);
    const waiter = await other.wait(key);
    await admin.session.forceRelease(key, id);
    assert.equal(await owner.session.renew(key, id, 60_000), null);
    assert.equal(await owner.session.release(key, id, 0), 'expired');
    await owner.session.cancel(key, id);
    assert.deepEqual(await admin.holders(key), [waiter]);
  },
};
