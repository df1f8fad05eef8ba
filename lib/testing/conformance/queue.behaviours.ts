import assert from 'node:assert/strict';
import { at, type Behaviours, range } from './scene.js';
import type { Peer } from './peer.js';

export const queueBehaviours: Behaviours = {
  'hands a released permit to who came first': async ({ key, join }) => {
    const peer = join();
    let { id } = await peer.hold(key);
    const waiters = [await peer.wait(key), await peer.wait(key), await peer.wait(key)];
    for (const waiter of waiters) {
      await peer.session.release(key, id, 0);
      await peer.grant(waiter);
      assert.deepEqual(await peer.holders(key), [waiter]);
      id = waiter;
    }
    assert.deepEqual(await peer.waiters(key), []);
  },

  'serves the waiters of several processes in one line': async ({ key, join }) => {
    const peers = [join(), join(), join()];
    const first = await at(peers, 0).hold(key);
    const line = [];
    for (const turn of range(6)) {
      const peer = at(peers, turn % 3);
      line.push({ peer, id: await peer.wait(key) });
    }
    await at(peers, 1).session.release(key, first.id, 0);
    for (const { peer, id } of line) {
      await peer.grant(id);
      assert.deepEqual(await peer.holders(key), [id]);
      await peer.session.release(key, id, 0);
    }
  },

  'wakes one waiter with one permit': async ({ key, join, advance }) => {
    const [one, other] = [join(), join()];
    const { id } = await one.hold(key);
    const waiters = [await one.wait(key), await other.wait(key), await one.wait(key)];
    await one.session.release(key, id, 0);
    await one.grant(at(waiters, 0));
    await advance(50);
    assert.equal(other.hasGrant(at(waiters, 1)), false);
    assert.equal(one.hasGrant(at(waiters, 2)), false);
  },

  'grants a waiter its whole lease, once it was claimed': async ({ key, join }) => {
    const [one, other] = [join(), join()];
    const { id } = await one.hold(key);
    const waiter = await other.wait(key, { leaseMs: 60_000 });
    await one.session.release(key, id, 0);
    const grant = await other.grant(waiter);
    if (grant.provisional) assert.ok(grant.expiresAt - grant.acquiredAt <= 4_000);
    const lease = grant.provisional ? await other.session.renew(key, waiter, 60_000) : grant;
    assert.ok(lease !== null && lease.expiresAt - grant.acquiredAt >= 59_998);
  },

  'serves higher priorities first, and in one priority who came first': async ({ key, join }) => {
    const peer = join();
    const { id } = await peer.hold(key);
    const low = await peer.wait(key, { priority: -1 });
    const normal = await peer.wait(key);
    const high = await peer.wait(key, { priority: 5 });
    const alsoHigh = await peer.wait(key, { priority: 5 });
    const highest = await peer.wait(key, { priority: 100_000 });
    const lowest = await peer.wait(key, { priority: -100_000 });
    const alsoNormal = await peer.wait(key);
    const order = [highest, high, alsoHigh, normal, alsoNormal, low, lowest];
    assert.deepEqual(await peer.waiters(key), order);
    assert.deepEqual(await serveAll(peer, key, [id, ...order]), order);
  },

  'keeps the order of many priorities': async ({ key, join }) => {
    const peer = join();
    const { id } = await peer.hold(key);
    const line = [];
    for (const index of range(60)) {
      const priority = ((index * 37) % 11) - 5;
      line.push({ priority, id: await peer.wait(key, { priority }) });
    }
    const order = line.toSorted((a, b) => b.priority - a.priority).map((waiter) => waiter.id);
    assert.deepEqual(await peer.waiters(key), order);
    assert.deepEqual(await serveAll(peer, key, [id, ...order]), order);
  },

  'lets nobody take a free permit past a waiter': async ({ key, join }) => {
    const [one, other] = [join(), join()];
    await one.hold(key, { permits: 3 });
    const heavy = await one.wait(key, { permits: 3, weight: 3 });
    const light = await other.wait(key, { permits: 3 });
    assert.equal((await other.acquire(key, { permits: 3, wait: false })).status, 'busy');
    assert.deepEqual(await one.waiters(key), [heavy, light]);
    assert.equal((await one.session.inspect(key)).available, 2);
  },

  'lets a higher priority pass the waiters when it fits': async ({ key, join }) => {
    const peer = join();
    await peer.hold(key, { permits: 3 });
    const heavy = await peer.wait(key, { permits: 3, weight: 3 });
    await peer.hold(key, { permits: 3, priority: 1 });
    await peer.hold(key, { permits: 3, priority: 1, wait: false });
    assert.deepEqual(await peer.waiters(key), [heavy]);
  },

  'puts a higher priority that does not fit at the head': async ({ key, join }) => {
    const peer = join();
    const { id } = await peer.hold(key, { permits: 3 });
    const light = await peer.wait(key, { permits: 3, weight: 3 });
    const urgent = await peer.wait(key, { permits: 3, weight: 3, priority: 1 });
    assert.equal(
      (await peer.acquire(key, { permits: 3, priority: 1, wait: false })).status,
      'busy',
    );
    await peer.session.release(key, id, 0);
    await peer.grant(urgent);
    assert.deepEqual(await peer.waiters(key), [light]);
  },

  'does not starve a heavy waiter': async ({ key, join }) => {
    const peer = join();
    const held = [];
    for (const _ of range(3)) held.push((await peer.hold(key, { permits: 3 })).id);
    const heavy = await peer.wait(key, { permits: 3, weight: 3 });
    const light = [];
    for (const id of held) {
      light.push(await peer.wait(key, { permits: 3 }));
      await peer.session.release(key, id, 0);
    }
    await peer.grant(heavy);
    assert.deepEqual(await peer.holders(key), [heavy]);
    await peer.session.release(key, heavy, 0);
    await Promise.all(light.map((id) => peer.grant(id)));
    assert.deepEqual(await peer.holders(key), light);
  },

  'serves with one release all that fit': async ({ key, join }) => {
    const [one, other] = [join(), join()];
    const { id } = await one.hold(key, { permits: 6, weight: 6 });
    const wish = (weight: number): object => ({ permits: 6, weight });
    const first = await one.wait(key, wish(1));
    const second = await other.wait(key, wish(2));
    const third = await one.wait(key, wish(3));
    const fourth = await other.wait(key, wish(1));
    await one.session.release(key, id, 0);
    await Promise.all([one.grant(first), other.grant(second), one.grant(third)]);
    assert.deepEqual(await one.holders(key), [first, second, third]);
    assert.deepEqual(await one.waiters(key), [fourth]);
  },

  'does not wake a waiter for which there is not enough yet': async ({ key, join }) => {
    const peer = join();
    const one = await peer.hold(key, { permits: 3 });
    const two = await peer.hold(key, { permits: 3, weight: 2 });
    const heavy = await peer.wait(key, { permits: 3, weight: 3 });
    await peer.session.release(key, one.id, 0);
    assert.deepEqual(await peer.waiters(key), [heavy]);
    await peer.session.release(key, two.id, 0);
    await peer.grant(heavy);
  },

  'moves the line on when a heavy waiter at its head leaves': async ({ key, join }) => {
    const [one, other] = [join(), join()];
    await one.hold(key, { permits: 3 });
    const heavy = await one.wait(key, { permits: 3, weight: 3 });
    const light = [await one.wait(key, { permits: 3 }), await other.wait(key, { permits: 3 })];
    await one.session.cancel(key, heavy);
    await Promise.all([one.grant(at(light, 0)), other.grant(at(light, 1))]);
    assert.deepEqual(await one.waiters(key), []);
  },

  'closes the gap when waiters leave from the middle': async ({ key, join }) => {
    const peer = join();
    const { id } = await peer.hold(key);
    const line = [];
    for (const _ of range(9)) line.push(await peer.wait(key));
    const leaving = line.filter((_, index) => index % 3 === 1);
    await Promise.all(leaving.map((waiter) => peer.session.cancel(key, waiter)));
    const staying = line.filter((waiter) => !leaving.includes(waiter));
    assert.deepEqual(await serveAll(peer, key, [id, ...staying]), staying);
    assert.ok(!leaving.some((waiter) => peer.hasGrant(waiter)));
  },

  'queues callers of one turn in the order of their calls': async ({ key, join }) => {
    const peer = join();
    const requests = range(20).map(() => peer.request(key));
    await Promise.all(requests.map((request) => peer.session.acquire(request)));
    const [first, ...others] = requests.map(({ id }) => id);
    assert.deepEqual(await peer.holders(key), [first]);
    assert.deepEqual(await peer.waiters(key), others);
  },

  'serves 200 waiters of four processes exactly once each': async ({ key, join }) => {
    const peers = range(4).map(join);
    const inside: string[] = [];
    let most = 0;
    const visit = async (peer: Peer): Promise<number> => {
      const request = peer.request(key, { permits: 3 });
      const reply = await peer.session.acquire(request);
      const grant = reply.status === 'granted' ? reply.grant : await peer.grant(request.id);
      most = Math.max(most, inside.push(request.id));
      await peer.session.inspect(key);
      inside.splice(inside.indexOf(request.id), 1);
      assert.equal(await peer.session.release(key, request.id, 0), 'released');
      return grant.fencingToken;
    };
    const tokens = await Promise.all(range(200).map((index) => visit(at(peers, index % 4))));
    assert.equal(most, 3);
    assert.equal(new Set(tokens).size, 200);
    const { held, holders, waiters } = await at(peers, 0).session.inspect(key);
    assert.deepEqual({ held, holders, waiters }, { held: 0, holders: [], waiters: [] });
  },

  'never gives away more than there is, whatever the weights': async ({ key, join }) => {
    const peers = range(3).map(join);
    let taken = 0;
    const work = async (worker: number): Promise<void> => {
      const peer = at(peers, worker % 3);
      for (const round of range(5)) {
        const weight = 1 + ((worker + round) % 4);
        const request = peer.request(key, { permits: 5, weight, priority: worker % 2 });
        const reply = await peer.session.acquire(request);
        if (reply.status === 'waiting') await peer.grant(request.id);
        taken += weight;
        assert.ok(taken <= 5, `${taken} of 5 permits are taken`);
        await peer.session.inspect(key);
        taken -= weight;
        await peer.session.release(key, request.id, 0);
      }
    };
    await Promise.all(range(12).map(work));
    assert.deepEqual(await at(peers, 0).holders(key), []);
  },
};

/** Releases one after the other, each when it holds. @returns in which order the others were served */
async function serveAll(peer: Peer, key: string, ids: readonly string[]): Promise<string[]> {
  const tokens = new Map<string, number>();
  for (const [index, id] of ids.entries()) {
    if (index > 0) tokens.set(id, (await peer.grant(id)).fencingToken);
    await peer.session.release(key, id, 0);
  }
  return [...tokens].toSorted(([, a], [, b]) => a - b).map(([id]) => id);
}
