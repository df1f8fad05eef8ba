import assert from 'node:assert/strict';
import type { FlightLook } from '../../store/single-flight-store.js';
import { hearAll, type Pilot, pilots } from './pilot.js';
import { at, type Behaviours, range, ROUNDING_MS, SHORT_MS } from './scene.js';

const seenOf = ({ state, payload }: FlightLook): [string, string] => [state, payload];

/** What a store with `flights` does besides {@link describeSemaphoreStore}. */
export const flightBehaviours: Behaviours = {
  'knows nothing of a key that nobody published': async (scene) => {
    const pilot = at(pilots(scene, 1), 0);
    const look = await pilot.flights.look(scene.key);
    assert.deepEqual(seenOf(look), ['none', '']);
    assert.deepEqual([look.token, look.isLed, look.waiting], [0, false, 0]);
  },

  'tells that somebody leads, and how many wait': async (scene) => {
    const [one, other] = pilots(scene, 2) as [Pilot, Pilot];
    await one.peer.hold(scene.key);
    await other.peer.wait(scene.key);
    const { now: before } = await other.peer.session.inspect(scene.key);
    const look = await other.flights.look(scene.key);
    const { now: after } = await other.peer.session.inspect(scene.key);
    assert.deepEqual([look.isLed, look.waiting], [true, 1]);
    assert.ok(look.at >= before - ROUNDING_MS && look.at <= after + ROUNDING_MS, 'another time');
  },

  'gives a publication to every process that waits, once, and takes them out of the queue': async (
    scene,
  ) => {
    const [leader, one, other, stranger] = pilots(scene, 4) as [Pilot, Pilot, Pilot, Pilot];
    const { id, grant } = await leader.peer.hold(scene.key);
    await one.peer.wait(scene.key);
    await one.peer.wait(scene.key);
    await other.peer.wait(scene.key);
    assert.equal(await leader.land(scene.key, id, 'the result'), true);
    for (const follower of [one, other]) {
      const { key, token, payload } = await follower.publication();
      assert.deepEqual([key, token, payload], [scene.key, grant.fencingToken, 'the result']);
    }
    const { holders, waiters } = await stranger.peer.session.inspect(scene.key);
    assert.deepEqual([holders, waiters], [[], []]);
    assert.deepEqual([leader.count, one.count, other.count, stranger.count], [0, 1, 1, 0]);
  },

  'publishes for a leader that keeps its permit for a while': async (scene) => {
    const [leader, follower] = pilots(scene, 2) as [Pilot, Pilot];
    const { id, grant } = await leader.peer.hold(scene.key);
    await follower.peer.wait(scene.key);
    const { flights, session } = { ...leader, ...leader.peer };
    const publication = { permitId: id, payload: 'early', freshMs: 60_000, staleMs: 0 };
    assert.equal(await flights.publish(scene.key, publication), true);
    assert.equal((await follower.publication()).token, grant.fencingToken);
    const { holders, waiters } = await session.inspect(scene.key);
    assert.deepEqual([holders.map((holder) => holder.id), waiters], [[id], []]);
    assert.equal(await session.release(scene.key, id, 0), 'released');
    assert.deepEqual(seenOf(await flights.look(scene.key)), ['fresh', 'early']);
  },

  'publishes for many keys at once, each for those who wait for it': async (scene) => {
    const [leader, follower] = pilots(scene, 2) as [Pilot, Pilot];
    const keys = range(12).map((index) => `${scene.key}-${index}`);
    const isFollowed = (index: number): boolean => index % 3 === 0;
    const isForgotten = (index: number): boolean => index % 4 === 0;
    const held = await Promise.all(keys.map((key) => leader.peer.hold(key)));
    for (const [index, key] of keys.entries()) {
      if (isFollowed(index)) await follower.peer.wait(key);
    }
    await scene.advance(5);
    for (const [index, key] of keys.entries()) {
      if (isForgotten(index)) await follower.flights.forget(key);
    }
    const landed = keys.map((key, index) => leader.land(key, at(held, index).id, key, 60_000));
    assert.deepEqual(
      await Promise.all(landed),
      keys.map(() => true),
    );
    const heard = await Promise.all(
      keys.filter((_, index) => isFollowed(index)).map((_, index) => follower.publication(index)),
    );
    assert.deepEqual(
      new Set(heard.map(({ key, payload }) => `${key} ${payload}`)),
      new Set(keys.filter((_, index) => isFollowed(index)).map((key) => `${key} ${key}`)),
    );
    for (const [index, key] of keys.entries()) {
      const { state } = await leader.flights.look(key);
      assert.equal(state, isForgotten(index) ? 'none' : 'fresh');
      assert.deepEqual((await leader.peer.session.inspect(key)).holders, []);
    }
  },

  'grants the permit to the next one when a leader gives it back without a result': async (
    scene,
  ) => {
    const [leader, follower] = pilots(scene, 2) as [Pilot, Pilot];
    const { id } = await leader.peer.hold(scene.key);
    const next = await follower.peer.wait(scene.key);
    await leader.peer.session.release(scene.key, id, 0);
    await follower.peer.grant(next);
    assert.equal(follower.count, 0);
  },

  'keeps a result fresh, then stale, then not at all': async (scene) => {
    const [leader, reader] = pilots(scene, 2) as [Pilot, Pilot];
    await leader.fly(scene.key, 'kept', 3 * SHORT_MS, 5 * SHORT_MS);
    assert.deepEqual(seenOf(await reader.flights.look(scene.key)), ['fresh', 'kept']);
    await scene.advance(4 * SHORT_MS);
    assert.deepEqual(seenOf(await reader.flights.look(scene.key)), ['stale', 'kept']);
    await scene.advance(5 * SHORT_MS);
    assert.deepEqual(seenOf(await reader.flights.look(scene.key)), ['none', '']);
  },

  'tells who waited what was published meanwhile, and nobody else, when it is not kept': async (
    scene,
  ) => {
    const [leader, reader] = pilots(scene, 2) as [Pilot, Pilot];
    const before = await leader.fly(scene.key, 'first');
    assert.deepEqual(seenOf(await reader.flights.look(scene.key)), ['none', '']);
    assert.equal((await reader.flights.look(scene.key)).token, before);
    assert.deepEqual(seenOf(await reader.flights.look(scene.key, before)), ['none', '']);
    await leader.fly(scene.key, 'second');
    assert.deepEqual(seenOf(await reader.flights.look(scene.key, before)), ['missed', 'second']);
  },

  'publishes nothing of who does not hold the permit': async (scene) => {
    const [late, successor] = pilots(scene, 2) as [Pilot, Pilot];
    const { id } = await late.peer.hold(scene.key, { leaseMs: SHORT_MS });
    await scene.advance(SHORT_MS + 50);
    assert.equal(await late.land(scene.key, id, 'too late', 60_000), false);
    assert.deepEqual(seenOf(await late.flights.look(scene.key)), ['none', '']);
    const next = await successor.peer.hold(scene.key);
    assert.equal(await late.land(scene.key, id, 'too late', 60_000), false);
    assert.deepEqual(seenOf(await late.flights.look(scene.key)), ['none', '']);
    assert.equal(await successor.land(scene.key, next.id, 'right', 60_000), true);
    assert.equal(await late.land(scene.key, id, 'too late', 60_000), false);
    assert.deepEqual(seenOf(await late.flights.look(scene.key)), ['fresh', 'right']);
    assert.equal(await late.land(scene.key, 'nobody', 'never', 60_000), false);
  },

  'leaves what can still be used in its place when nothing that is kept is published': async (
    scene,
  ) => {
    const [leader, reader] = pilots(scene, 2) as [Pilot, Pilot];
    await leader.fly(scene.key, 'kept', SHORT_MS, 60_000);
    await leader.fly(scene.key, 'an error');
    await scene.advance(2 * SHORT_MS);
    assert.deepEqual(seenOf(await reader.flights.look(scene.key)), ['stale', 'kept']);
  },

  'forgets what is kept': async (scene) => {
    const [leader, other] = pilots(scene, 2) as [Pilot, Pilot];
    await leader.fly(scene.key, 'kept', 60_000, 60_000);
    await other.flights.forget(scene.key);
    assert.deepEqual(seenOf(await leader.flights.look(scene.key)), ['none', '']);
    await leader.fly(scene.key, 'again', 60_000);
    assert.deepEqual(seenOf(await other.flights.look(scene.key)), ['fresh', 'again']);
  },

  'forgets what a leader has that works now, for all but those who wait for it already': async (
    scene,
  ) => {
    const [leader, early, late] = pilots(scene, 3) as [Pilot, Pilot, Pilot];
    const { id } = await leader.peer.hold(scene.key);
    await early.peer.wait(scene.key);
    await early.flights.forget(scene.key);
    const waiting = await late.peer.wait(scene.key);
    assert.equal(await leader.land(scene.key, id, 'old', 60_000), true);
    assert.equal((await early.publication()).payload, 'old');
    const { fencingToken } = await late.peer.grant(waiting);
    assert.equal(late.count, 0);
    assert.deepEqual(seenOf(await late.flights.look(scene.key)), ['none', '']);
    assert.equal(await late.land(scene.key, waiting, 'new', 60_000), true);
    const look = await early.flights.look(scene.key);
    assert.deepEqual([...seenOf(look), look.token], ['fresh', 'new', fencingToken]);
  },

  'gives nothing of before to who came between two times that it was forgotten': async (scene) => {
    const [leader, between] = pilots(scene, 2) as [Pilot, Pilot];
    const { id } = await leader.peer.hold(scene.key);
    // In one turn, and so perhaps in one moment by the store's clock.
    const forgotten = between.flights.forget(scene.key);
    const waiting = await between.peer.wait(scene.key);
    await forgotten;
    await leader.flights.forget(scene.key);
    assert.equal(await leader.land(scene.key, id, 'old', 60_000), true);
    await between.peer.grant(waiting);
    assert.equal(between.count, 0);
  },

  'tells other processes that lead or wait what one of them forgot': async (scene) => {
    const all = pilots(scene, 4);
    const [leader, follower, forgetting, idle] = all as [Pilot, Pilot, Pilot, Pilot];
    await leader.peer.hold(scene.key);
    for (const { peer } of [follower, follower, forgetting]) await peer.wait(scene.key);
    await forgetting.flights.forget(scene.key);
    // In a cluster the key and the one beside it may be on different servers.
    for (const pilot of [leader, follower]) await pilot.forgets();
    for (const { peer } of [leader, follower, idle])
      await hearAll(forgetting.peer, peer, scene.key);
    assert.deepEqual(
      all.map(({ forgotten }) => forgotten),
      [[scene.key], [scene.key], [], []],
    );
  },

  'carries any text, also a long one': async (scene) => {
    const [leader, follower] = pilots(scene, 2) as [Pilot, Pilot];
    const texts = ['', ' ', '!', '+', '}', 'ü 😀 \u0000\n', 'x'.repeat(3_000_000)];
    for (const [index, text] of texts.entries()) {
      const payload = `v${text}`;
      const { id } = await leader.peer.hold(scene.key);
      await follower.peer.wait(scene.key);
      await leader.land(scene.key, id, payload, 60_000);
      const heard = await follower.publication(index);
      const look = await follower.flights.look(scene.key);
      assert.ok(heard.payload === payload || heard.payload === '');
      assert.ok(look.payload === payload);
      await follower.flights.forget(scene.key);
    }
  },

  'tells until when the last publication was fresh, also when that is over': async (scene) => {
    const [leader, late] = pilots(scene, 2) as [Pilot, Pilot];
    const { clock } = scene.store;
    assert.equal((await late.flights.look(scene.key)).freshUntil, 0);
    const before = clock.now();
    await leader.fly(scene.key, 'over', SHORT_MS);
    const after = clock.now();
    await scene.advance(2 * SHORT_MS);
    const sentAt = clock.now();
    const { state, freshUntil } = await late.flights.look(scene.key);
    const slackMs = clock.now() - sentAt + ROUNDING_MS;
    assert.equal(state, 'none');
    assert.ok(freshUntil <= after + SHORT_MS + ROUNDING_MS, 'later than it was');
    assert.ok(freshUntil >= before + SHORT_MS - slackMs, 'earlier than it was');
  },

  'knows keys of any kind': async (scene) => {
    const [leader, follower] = pilots(scene, 2) as [Pilot, Pilot];
    for (const [index, odd] of ['a b', '{x}', '}', '%7D', 'ü😀', "a'\n\u0000"].entries()) {
      const key = `${odd}${scene.tag}`;
      const { id } = await leader.peer.hold(key);
      await follower.peer.wait(key);
      await leader.land(key, id, 'v');
      assert.equal((await follower.publication(index)).key, key);
    }
  },

  'sees nobody publish between a look and the acquire that follows it': async (scene) => {
    const [leader, other] = pilots(scene, 2) as [Pilot, Pilot];
    for (const round of range(20)) {
      const { id } = await leader.peer.hold(scene.key);
      const landing = leader.land(scene.key, id, `v${round}`, 60_000);
      const looking = other.flights.look(scene.key);
      const request = other.peer.request(scene.key);
      const [look, reply] = await Promise.all([looking, other.peer.session.acquire(request)]);
      await landing;
      if (reply.status === 'granted') assert.deepEqual(seenOf(look), ['fresh', `v${round}`]);
      await other.peer.session.cancel(scene.key, request.id);
      await other.flights.forget(scene.key);
    }
  },
};
