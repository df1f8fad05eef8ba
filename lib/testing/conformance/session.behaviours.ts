import assert from 'node:assert/strict';
import { type Behaviours, SHORT_MS } from './scene.js';

/** How long a dead waiter may block others. */
const DEAD_MS = 5_000;

export const sessionBehaviours: Behaviours = {
  'gives each process a name of its own': async ({ join }) => {
    const names = [join(), join(), join()].map(({ session }) => session.clientId);
    assert.equal(new Set(names).size, 3);
    assert.ok(names.every((name) => name.length > 0));
  },

  'calls no client while an operation is being called': async ({ key, join }) => {
    const peer = join();
    const { id } = await peer.hold(key);
    const waiter = await peer.wait(key);
    const released = peer.session.release(key, id, 0);
    assert.equal(peer.hasGrant(waiter), false);
    await released;
    await peer.grant(waiter);
  },

  'shows signs of life, if it can tell': async ({ key, join }) => {
    const { session } = join();
    await session.inspect(key);
    if (session.health === undefined) return;
    const { latencyMs, error, isListening, silentMs } = await session.health(5000);
    assert.equal(error, undefined);
    assert.equal(isListening, true);
    assert.ok(latencyMs !== undefined && latencyMs >= 0 && latencyMs <= 5000);
    assert.ok(silentMs >= 0 && silentMs <= 5000);
    await session.close();
    await assert.rejects(session.health(5000));
  },

  'refuses operations of a session that is closed': async ({ key, join }) => {
    const peer = join();
    await peer.session.inspect(key);
    await peer.session.close();
    await assert.rejects(peer.acquire(key));
    await assert.rejects(peer.session.inspect(key));
    await peer.session.close();
  },

  'serves the other sessions when one is closed': async ({ key, join }) => {
    const [one, other] = [join(), join()];
    const { id } = await other.hold(key);
    const waiter = await other.wait(key);
    await one.session.inspect(key);
    await one.session.close();
    await other.session.release(key, id, 0);
    await other.grant(waiter);
  },

  'keeps the permits of a closed session until their leases end': async (scene) => {
    const { key, join, advance, assertOnTime } = scene;
    const [one, other] = [join(), join()];
    const { id, grant } = await one.hold(key, { leaseMs: 2 * SHORT_MS });
    await one.session.close();
    assert.deepEqual(await other.holders(key), [id]);
    const waiter = await other.wait(key);
    await advance(2 * SHORT_MS);
    assertOnTime(await other.grantedAt(waiter), grant.deadline);
  },

  'lets another process renew what one holds': async ({ key, join }) => {
    const [one, other] = [join(), join()];
    const { id } = await one.hold(key, { leaseMs: 10_000 });
    const lease = await other.session.renew(key, id, 60_000);
    const [holder] = (await one.session.inspect(key)).holders;
    assert.equal(holder?.expiresAt, lease?.expiresAt);
    assert.notEqual(await one.session.renew(key, id, 10_000), null);
  },

  'lets another process give back what a closed session held': async ({ key, join }) => {
    const [one, other] = [join(), join()];
    const { id } = await one.hold(key, { leaseMs: Infinity });
    await one.session.close();
    assert.equal(await other.session.release(key, id, 0), 'released');
    assert.equal(await other.isFree(key), true);
  },

  'skips the waiters of a closed session within 5 s, and keeps those that live': async (scene) => {
    const { key, join, advance, store, tag } = scene;
    const [dead, living] = [join(), join()];
    const first = await living.hold(key);
    await dead.wait(key);
    await dead.wait(key);
    const next = await living.wait(key);
    const patient = `patient:${tag}`;
    const held = await living.hold(patient);
    const waiting = await living.wait(patient);
    await dead.session.close();
    await living.session.release(key, first.id, 0);
    const closedAt = store.clock.now();
    await advance(DEAD_MS + SHORT_MS);
    const servedAt = await living.grantedAt(next);
    assert.ok(servedAt - closedAt <= DEAD_MS, `served after ${servedAt - closedAt} ms`);
    assert.deepEqual(await living.waiters(key), []);

    assert.deepEqual(await living.waiters(patient), [waiting]);
    await living.session.release(patient, held.id, 0);
    await living.grant(waiting);
  },
};
