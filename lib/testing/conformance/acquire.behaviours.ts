import assert from 'node:assert/strict';
import { assertNear, type Behaviours, range, SHORT_MS } from './scene.js';

export const acquireBehaviours: Behaviours = {
  'grants a free permit at once': async ({ key, join, store }) => {
    const peer = join();
    await peer.session.inspect(key);
    const sentAt = store.clock.now();
    const { grant } = await peer.hold(key, { leaseMs: 60_000 });
    const answeredAt = store.clock.now();
    assert.ok(Number.isSafeInteger(grant.fencingToken) && grant.fencingToken > 0);
    assert.equal(grant.provisional, false);
    assert.notEqual(grant.again, true, 'nobody held it before under this id');
    assertNear(grant.expiresAt - grant.acquiredAt, 60_000);
    assertNear(grant.deadline, (sentAt + answeredAt) / 2 + 60_000, (answeredAt - sentAt) / 2 + 2);
  },

  'counts the lease from the sending of the request, never from its answer': async (scene) => {
    const peer = scene.join();
    const { grant } = await peer.hold(scene.key, { leaseMs: 60_000 });
    assert.ok(grant.deadline <= scene.store.clock.now() + 60_000);
  },

  'lets in as many as there are permits': async ({ key, join }) => {
    const peer = join();
    const held = [];
    for (const _ of range(3)) held.push((await peer.hold(key, { permits: 3 })).id);
    const waiter = await peer.wait(key, { permits: 3 });
    assert.deepEqual(await peer.holders(key), held);
    assert.deepEqual(await peer.waiters(key), [waiter]);
  },

  'counts permits over all processes': async ({ key, join }) => {
    const [one, other] = [join(), join()];
    const first = await one.hold(key, { permits: 2 });
    const second = await other.hold(key, { permits: 2 });
    assert.equal(await one.isFree(key, { permits: 2 }), false);
    assert.equal(await other.isFree(key, { permits: 2 }), false);
    assert.deepEqual(await one.holders(key), [first.id, second.id]);
  },

  'keeps keys apart': async ({ key, join }) => {
    const peer = join();
    await peer.hold(key);
    await peer.hold(`${key}:`);
    await peer.hold(`${key}:q`);
    assert.equal(await peer.isFree(key), false);
    assert.equal(await peer.isFree(`${key}x`), true);
  },

  'counts weights': async ({ key, join }) => {
    const peer = join();
    await peer.hold(key, { permits: 10, weight: 7 });
    assert.equal(await peer.isFree(key, { permits: 10, weight: 4 }), false);
    await peer.hold(key, { permits: 10, weight: 3 });
    const { held, available } = await peer.session.inspect(key);
    assert.deepEqual({ held, available }, { held: 10, available: 0 });
  },

  'gives one caller the whole semaphore when it weighs as much': async ({ key, join }) => {
    const peer = join();
    const whole = await peer.hold(key, { permits: 5, weight: 5 });
    assert.equal(await peer.isFree(key, { permits: 5 }), false);
    await peer.session.release(key, whole.id, 0);
    assert.equal(await peer.isFree(key, { permits: 5, weight: 5 }), true);
  },

  'counts large limits and weights exactly': async ({ key, join }) => {
    const peer = join();
    const permits = 2 ** 40 + 1;
    await peer.hold(key, { permits, weight: 2 ** 40 });
    await peer.hold(key, { permits, weight: 1 });
    assert.equal((await peer.session.inspect(key)).held, permits);
    assert.equal(await peer.isFree(key, { permits }), false);
  },

  'says busy to a caller that does not want to wait': async ({ key, join }) => {
    const peer = join();
    await peer.hold(key);
    const reply = await peer.acquire(key, { wait: false });
    assert.equal(reply.status, 'busy');
    assert.deepEqual(await peer.waiters(key), []);
  },

  'tells who was refused when the earliest lease ends': async ({ key, join }) => {
    const peer = join();
    await peer.hold(key, { permits: 2, leaseMs: 90_000 });
    await peer.hold(key, { permits: 2, leaseMs: 40_000 });
    for (const wish of [{ wait: false }, { maxWaiting: 0 }]) {
      const reply = await peer.acquire(key, { permits: 2, ...wish });
      assert.ok('retryAfterMs' in reply);
      assert.ok(reply.retryAfterMs > 20_000 && reply.retryAfterMs <= 40_001);
    }
  },

  'turns callers away when as many wait as may': async ({ key, join }) => {
    const peer = join();
    await peer.hold(key);
    const first = await peer.wait(key, { maxWaiting: 2 });
    const second = await peer.wait(key, { maxWaiting: 2 });
    assert.equal((await peer.acquire(key, { maxWaiting: 2 })).status, 'queue-full');
    assert.deepEqual(await peer.waiters(key), [first, second]);
  },

  'counts the waiters of all processes against maxWaiting': async ({ key, join }) => {
    const [one, other] = [join(), join()];
    await one.hold(key);
    await one.wait(key, { maxWaiting: 1 });
    assert.equal((await other.acquire(key, { maxWaiting: 1 })).status, 'queue-full');
  },

  'takes maxWaiting of each caller for itself': async ({ key, join }) => {
    const peer = join();
    await peer.hold(key);
    await peer.wait(key, { maxWaiting: 1 });
    assert.equal((await peer.acquire(key, { maxWaiting: 1 })).status, 'queue-full');
    await peer.wait(key, { maxWaiting: 2 });
  },

  'never queues with maxWaiting 0, but takes a free permit': async ({ key, join }) => {
    const peer = join();
    await peer.hold(key, { maxWaiting: 0 });
    assert.equal((await peer.acquire(key, { maxWaiting: 0 })).status, 'queue-full');
    assert.equal((await peer.acquire(key, { maxWaiting: 0, wait: false })).status, 'busy');
  },

  'lets others queue when a waiter has left a full queue': async ({ key, join }) => {
    const peer = join();
    await peer.hold(key);
    const waiter = await peer.wait(key, { maxWaiting: 1 });
    await peer.session.cancel(key, waiter);
    await peer.wait(key, { maxWaiting: 1 });
  },

  'gives a holder that asks again under its id the same permit': async ({ key, join, advance }) => {
    const peer = join();
    const { id, grant } = await peer.hold(key, { permits: 2 });
    await advance(SHORT_MS);
    const { grant: again } = await peer.hold(key, { permits: 2, id });
    assert.equal(again.fencingToken, grant.fencingToken);
    assert.equal(again.acquiredAt, grant.acquiredAt);
    assert.equal(again.expiresAt, grant.expiresAt);
    assert.deepEqual([grant.again ?? false, again.again ?? true], [false, true]);
    assert.deepEqual(await peer.holders(key), [id]);
    assert.equal((await peer.session.inspect(key)).held, 1);
  },

  'gives a waiter that asks again under its id the same place': async ({ key, join }) => {
    const peer = join();
    await peer.hold(key);
    const first = await peer.wait(key, { maxWaiting: 2 });
    const second = await peer.wait(key, { maxWaiting: 2 });
    await peer.wait(key, { maxWaiting: 2, id: first });
    await peer.wait(key, { maxWaiting: 2, id: first });
    assert.deepEqual(await peer.waiters(key), [first, second]);
  },

  'tells a waiter that asks again of the grant it did not hear of': async ({ key, join }) => {
    const peer = join();
    const { id } = await peer.hold(key);
    const waiter = await peer.wait(key);
    await peer.session.release(key, id, 0);
    const { fencingToken } = await peer.grant(waiter);
    const again = await peer.hold(key, { id: waiter });
    assert.equal(again.grant.fencingToken, fencingToken);
    assert.deepEqual(await peer.holders(key), [waiter]);
  },

  'takes one permit for one request sent twice in one turn': async ({ key, join }) => {
    const peer = join();
    const request = peer.request(key, { permits: 3 });
    const replies = await Promise.all([
      peer.session.acquire(request),
      peer.session.acquire({ ...request }),
    ]);
    assert.deepEqual(
      replies.map(({ status }) => status),
      ['granted', 'granted'],
    );
    assert.equal((await peer.session.inspect(key)).held, 1);
  },

  'keeps the order of operations issued in one turn': async ({ key, join }) => {
    const peer = join();
    const { session } = peer;
    const [first, second] = [peer.request(key), peer.request(key)];
    const third = peer.request(key, { wait: false });
    const [a, b, c, release, d] = await Promise.all([
      session.acquire(first),
      session.acquire(second),
      session.acquire(third),
      session.release(key, first.id, 0),
      session.acquire(third),
    ]);
    assert.equal(a.status, 'granted');
    assert.equal(b.status, 'waiting');
    assert.equal(c.status, 'busy');
    assert.equal(release, 'released');
    assert.equal(d.status, 'busy');
  },

  'serves many keys in one turn': async ({ tag, join }) => {
    const peer = join();
    const keys = range(300).map((index) => `many:${tag}:${index}`);
    const held = await Promise.all(keys.map((key) => peer.hold(key)));
    const waiting = await Promise.all(keys.map((key) => peer.wait(key)));
    await Promise.all(keys.map((key, i) => peer.session.release(key, held[i]?.id ?? '', 0)));
    await Promise.all(waiting.map((id) => peer.grant(id)));
    await Promise.all(keys.map((key, i) => peer.session.release(key, waiting[i] ?? '', 0)));
    assert.deepEqual(await peer.keys(`many:${tag}:*`), []);
  },
};
