import assert from 'node:assert/strict';
import { assertNear, at, type Behaviours, range, SHORT_MS } from './scene.js';

const ODD_LABELS = [
  'a b',
  '',
  ' ',
  '"\'`',
  '\\',
  '{}[]()',
  '\n\r\t',
  'ü 漢字 👩‍👩‍👧',
  '%s %d',
  '-',
  '~@!,',
  '\0',
];

export const snapshotBehaviours: Behaviours = {
  'shows an empty semaphore for a key that was never used': async ({ key, join }) => {
    const { now, ...snapshot } = await join().session.inspect(key);
    assert.ok(Number.isInteger(now));
    assert.deepEqual(snapshot, {
      key,
      permits: 0,
      held: 0,
      available: 0,
      holders: [],
      waiters: [],
      pinned: false,
    });
  },

  'shows who holds': async ({ key, join }) => {
    const [one, other] = [join(), join()];
    const wish = { permits: 4, weight: 2, label: 'import' };
    const first = await one.hold(key, { ...wish, leaseMs: 40_000 });
    const second = await other.hold(key, { permits: 4, leaseMs: Infinity });
    const { holders, now, ...rest } = await other.session.inspect(key);
    assert.deepEqual(rest, { key, permits: 4, held: 3, available: 1, waiters: [], pinned: false });
    assert.ok(now >= second.grant.acquiredAt);
    const [a, b] = holders.toSorted((x, y) => x.fencingToken - y.fencingToken);
    assert.deepEqual(a, {
      id: first.id,
      weight: 2,
      label: 'import',
      client: one.session.clientId,
      fencingToken: first.grant.fencingToken,
      acquiredAt: first.grant.acquiredAt,
      expiresAt: first.grant.expiresAt,
    });
    assert.deepEqual(b, {
      id: second.id,
      weight: 1,
      client: other.session.clientId,
      fencingToken: second.grant.fencingToken,
      acquiredAt: second.grant.acquiredAt,
      expiresAt: Infinity,
    });
  },

  'shows who waits': async ({ key, join, advance }) => {
    const [one, other] = [join(), join()];
    const { grant } = await one.hold(key, { permits: 3, weight: 3 });
    await advance(20);
    const id = await other.wait(key, { permits: 3, weight: 2, priority: -7, label: 'later' });
    const { waiters, held, available } = await one.session.inspect(key);
    const { enqueuedAt, ...waiter } = at(waiters, 0);
    const client = other.session.clientId;
    assert.deepEqual(waiter, { id, weight: 2, priority: -7, label: 'later', client });
    assertNear(enqueuedAt, grant.acquiredAt + 20, 500);
    assert.ok(enqueuedAt >= grant.acquiredAt + 18);
    assert.deepEqual({ held, available }, { held: 3, available: 0 });
  },

  'tells its own time, which ages and what is left of leases are counted by': async ({
    key,
    join,
    advance,
  }) => {
    const peer = join();
    const { grant } = await peer.hold(key, { leaseMs: 40_000 });
    await advance(30);
    const { now, holders } = await peer.session.inspect(key);
    assertNear(now, grant.acquiredAt + 30, 1_000);
    assert.ok(now >= grant.acquiredAt + 28);
    const left = at(holders, 0).expiresAt - now;
    assert.ok(left <= 39_975 && left > 38_000, `${left} ms are left of the lease`);
  },

  'tells whether the limit is pinned': async ({ key, join }) => {
    const [one, other] = [join(), join()];
    const pinned = async (): Promise<boolean> => (await other.session.inspect(key)).pinned;
    await one.hold(key, { permits: 3 });
    assert.equal(await pinned(), false);
    await one.session.setPermits(key, 3);
    assert.equal(await pinned(), true);
    await one.wait(key, { permits: 9, weight: 3 });
    assert.equal(await pinned(), true);
    await other.session.setPermits(key, null);
    assert.equal(await pinned(), false);
  },

  'tells the limit of a key whose last permit was just released': async ({ key, join }) => {
    const peer = join();
    const { id } = await peer.hold(key, { permits: 3 });
    await peer.session.release(key, id, 0);
    const { permits, held, available } = await peer.session.inspect(key);
    assert.deepEqual({ permits, held, available }, { permits: 3, held: 0, available: 3 });
  },

  'tells that the limit of an idle key is pinned': async ({ key, join }) => {
    const peer = join();
    await peer.session.setPermits(key, 7);
    const { permits, pinned } = await peer.session.inspect(key);
    assert.deepEqual({ permits, pinned }, { permits: 7, pinned: true });
  },

  'shows the label of a waiter when it holds': async ({ key, join }) => {
    const [one, other] = [join(), join()];
    const { id } = await one.hold(key);
    const waiter = await other.wait(key, { label: 'second shift' });
    await one.session.release(key, id, 0);
    await other.grant(waiter);
    const [holder] = (await one.session.inspect(key)).holders;
    assert.equal(holder?.label, 'second shift');
    assert.equal(holder.client, other.session.clientId);
  },

  'shows the weights that each waiter asked for': async ({ key, join }) => {
    const peer = join();
    await peer.hold(key, { permits: 9, weight: 9 });
    for (const weight of [3, 1, 9]) await peer.wait(key, { permits: 9, weight });
    const { waiters } = await peer.session.inspect(key);
    assert.deepEqual(
      waiters.map(({ weight }) => weight),
      [3, 1, 9],
    );
  },

  'keeps every character of a label': async ({ key, join }) => {
    const peer = join();
    const permits = ODD_LABELS.length;
    const labels = new Map<string, string>();
    for (const label of ODD_LABELS)
      labels.set((await peer.hold(key, { permits, label })).id, label);
    for (const label of ODD_LABELS) labels.set(await peer.wait(key, { permits, label }), label);
    const { holders, waiters } = await peer.session.inspect(key);
    const shown = [...holders, ...waiters].map(({ id, label }) => [id, label] as const);
    assert.deepEqual(new Map(shown), labels);
  },

  'lists the keys that are held or waited for': async ({ tag, join }) => {
    const [one, other] = [join(), join()];
    const [held, both, idle] = [`a:${tag}`, `b:${tag}`, `c:${tag}`];
    await one.hold(held);
    await one.hold(both);
    await other.wait(both);
    const { id } = await one.hold(idle);
    await one.session.release(idle, id, 0);
    assert.deepEqual(await other.keys(`*:${tag}`), [held, both]);
    assert.ok((await other.keys('*')).includes(held));
  },

  'lists no key whose only permit has ended': async ({ key, join, advance }) => {
    const peer = join();
    await peer.hold(key, { leaseMs: SHORT_MS });
    assert.deepEqual(await peer.keys(`*${key}*`), [key]);
    await advance(SHORT_MS + 5);
    assert.deepEqual(await peer.keys(`*${key}*`), []);
  },

  'lists a key that is only kept': async ({ key, join }) => {
    const peer = join();
    const { id } = await peer.hold(key);
    await peer.session.release(key, id, 60_000);
    assert.deepEqual(await peer.keys(key), [key]);
  },

  'lists the keys that a glob describes': async ({ tag, join }) => {
    const peer = join();
    const names = ['cat', 'cart', 'cut', 'c.t', 'dog', 'CAT'];
    await Promise.all(names.map((name) => peer.hold(`${tag}:${name}`)));
    const listed = async (glob: string): Promise<string[]> =>
      (await peer.keys(`${tag}:${glob}`)).map((key) => key.slice(tag.length + 1));
    assert.deepEqual(await listed('c?t'), ['c.t', 'cat', 'cut']);
    assert.deepEqual(await listed('c*t'), ['c.t', 'cart', 'cat', 'cut']);
    assert.deepEqual(await listed('c[au]t'), ['cat', 'cut']);
    assert.deepEqual(await listed('*'), ['CAT', 'c.t', 'cart', 'cat', 'cut', 'dog']);
    assert.deepEqual(await listed('dog'), ['dog']);
    assert.deepEqual(await listed('do'), []);
    assert.deepEqual(await listed('?'), []);
  },

  'lists each of many keys once': async ({ tag, join }) => {
    const peer = join();
    const keys = range(500).map((index) => `${tag}:${index}`);
    await Promise.all(keys.flatMap((key) => [peer.hold(key), peer.acquire(key)]));
    assert.deepEqual(await peer.keys(`${tag}:*`), keys.toSorted());
  },
};
