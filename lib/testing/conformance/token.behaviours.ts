import assert from 'node:assert/strict';
import { TOKENS_A_GRANT } from '../../store/semaphore-store.js';
import { at, type Behaviours, range, SHORT_MS } from './scene.js';

export const tokenBehaviours: Behaviours = {
  'gives no token again that was used under a permit that was passed on': async ({ key, join }) => {
    const peer = join();
    const first = await peer.hold(key);
    const used = first.grant.fencingToken + TOKENS_A_GRANT - 1;
    assert.equal(await peer.session.release(key, first.id, 0, used), 'released');
    assertGrows([used, (await peer.hold(key)).grant.fencingToken]);
  },

  'gives no token again that may have been used under a permit that was lost': async ({
    key,
    join,
    advance,
  }) => {
    const peer = join();
    const wish = { leaseMs: SHORT_MS };
    const first = await peer.hold(key, wish);
    await advance(2 * SHORT_MS);
    const second = await peer.hold(key, wish);
    await peer.session.forceRelease(key, second.id);
    const third = await peer.hold(key, wish);
    await peer.session.cancel(key, third.id);
    const last = await peer.hold(key);
    const tokens = [first, second, third, last].map(({ grant }) => grant.fencingToken);
    for (const [index, token] of tokens.slice(1).entries()) {
      assertGrows([at(tokens, index) + TOKENS_A_GRANT - 1, token]);
    }
  },

  'tells the limit that is in force with a grant': async ({ key, join }) => {
    const [one, other] = [join(), join()];
    await one.session.setPermits(key, 2);
    const first = await one.hold(key, { permits: 5, weight: 2 });
    assert.equal(first.grant.permits, 2);
    const second = await other.wait(key, { permits: 5 });
    await one.session.release(key, first.id, 0);
    assert.equal((await other.grant(second)).permits, 2);
  },

  'lets tokens grow with every grant': async ({ key, join }) => {
    const [one, other] = [join(), join()];
    const tokens = [];
    for (const turn of range(10)) {
      const peer = turn % 2 === 0 ? one : other;
      const { id, grant } = await peer.hold(key);
      tokens.push(grant.fencingToken);
      await peer.session.release(key, id, 0);
    }
    assertGrows(tokens);
  },

  'lets tokens grow over a hand-off': async ({ key, join }) => {
    const [one, other] = [join(), join()];
    const first = await one.hold(key);
    const second = await other.wait(key);
    const third = await one.wait(key);
    await one.session.release(key, first.id, 0);
    const { fencingToken } = await other.grant(second);
    await other.session.release(key, second, 0);
    assertGrows([first.grant.fencingToken, fencingToken, (await one.grant(third)).fencingToken]);
  },

  'lets tokens grow over the end of a lease': async ({ key, join, advance }) => {
    const peer = join();
    const first = await peer.hold(key, { leaseMs: SHORT_MS });
    const second = await peer.wait(key, { leaseMs: SHORT_MS });
    await advance(SHORT_MS);
    const { fencingToken } = await peer.grant(second);
    await advance(2 * SHORT_MS);
    const third = await peer.hold(key);
    assertGrows([first.grant.fencingToken, fencingToken, third.grant.fencingToken]);
  },

  'lets tokens grow over a permit taken by force': async ({ key, join }) => {
    const peer = join();
    const first = await peer.hold(key);
    await peer.session.forceRelease(key, first.id);
    const second = await peer.hold(key);
    assertGrows([first.grant.fencingToken, second.grant.fencingToken]);
  },

  'lets tokens grow within one turn, over many permits': async ({ key, join }) => {
    const peer = join();
    const held = await Promise.all(range(300).map(() => peer.hold(key, { permits: 300 })));
    assertGrows(held.map(({ grant }) => grant.fencingToken));
  },

  'lets tokens grow when permits come and go within one turn': async ({ key, join }) => {
    const peer = join();
    const requests = range(100).map(() => peer.request(key));
    const replies = await Promise.all(
      requests.map((wanted) => {
        const reply = peer.session.acquire(wanted);
        return peer.session.release(key, wanted.id, 0).then(() => reply);
      }),
    );
    assertGrows(
      replies.map((reply) => (reply.status === 'granted' ? reply.grant.fencingToken : 0)),
    );
  },
};

function assertGrows(tokens: readonly number[]): void {
  for (const [index, token] of tokens.entries()) {
    assert.ok(Number.isSafeInteger(token));
    assert.ok(
      index === 0 || token > (tokens[index - 1] ?? 0),
      `${tokens.join(', ')} does not grow`,
    );
  }
}
