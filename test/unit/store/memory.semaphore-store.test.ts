import assert from 'node:assert/strict';
import { beforeEach, describe, it } from '@jest/globals';
import { VirtualClock } from 'nestjs-semaphore/testing';
import { MemorySemaphoreStore } from '../../../lib/store/memory/memory.semaphore-store.js';
import { Peer } from '../../../lib/testing/conformance/peer.js';

/** The one timer of a store that looks for ended leases nobody asks for. */
const SWEEP = 1;
const SWEEP_MS = 30_000;

describe('MemorySemaphoreStore', () => {
  let clock: VirtualClock;
  let peer: Peer;

  beforeEach(() => {
    clock = new VirtualClock();
    peer = new Peer(new MemorySemaphoreStore({ clock }));
  });

  it('sets no timer for permits that nobody waits for', async () => {
    for (let i = 0; i < 100; i++) await peer.hold(`key-${i}`);
    assert.equal(clock.pendingTimers, SWEEP);
  });

  it('sets one timer for all holders and waiters of a key', async () => {
    for (let i = 0; i < 20; i++) await peer.hold('key', { permits: 20, leaseMs: 1_000 + i });
    for (let i = 0; i < 20; i++) await peer.wait('key', { permits: 20 });
    assert.equal(clock.pendingTimers, SWEEP + 1);
  });

  it('stops the timer of a key that nobody holds any more', async () => {
    const { id } = await peer.hold('key');
    const waiter = await peer.wait('key');
    await peer.session.release('key', id, 0);
    await peer.session.release('key', waiter, 0);
    assert.equal(clock.pendingTimers, SWEEP);
  });

  it('forgets a key when it is idle, and then sets no timer at all', async () => {
    const { id } = await peer.hold('key', { permits: 3 });
    await peer.session.release('key', id, 0);
    await clock.advance(5_000);
    assert.equal((await peer.session.inspect('key')).permits, 0);
    await clock.advance(SWEEP_MS);
    assert.equal(clock.pendingTimers, 0);
  });

  it('forgets a key whose leases ended without anybody asking', async () => {
    await peer.hold('crashed', { leaseMs: 100 });
    const cron = await peer.hold('cron');
    await peer.session.release('cron', cron.id, 45_000);
    await clock.advance(2 * SWEEP_MS);
    assert.equal(clock.pendingTimers, 0);
  });

  it('lets tokens grow while the clock stands still and keys are forgotten', async () => {
    let last = 0;
    for (let i = 0; i < 5; i++) {
      const { id, grant } = await peer.hold('key');
      assert.ok(grant.fencingToken > last);
      last = grant.fencingToken;
      await peer.session.release('key', id, 0);
    }
  });

  it('tells no client anything before the operation has returned', async () => {
    const { id } = await peer.hold('key');
    const waiter = await peer.wait('key');
    void peer.session.release('key', id, 0);
    assert.equal(peer.hasGrant(waiter), false);
    await Promise.resolve();
    assert.equal(peer.hasGrant(waiter), true);
  });

  it('drops the waiters of a session at once when it is closed', async () => {
    const store = new MemorySemaphoreStore({ clock });
    const [one, other] = [new Peer(store), new Peer(store)];
    await other.hold('key', { permits: 2 });
    await one.wait('key', { permits: 2, weight: 2 });
    const waiter = await other.wait('key', { permits: 2 });
    await one.session.close();
    await other.grant(waiter);
  });

  it('keeps stores apart', async () => {
    await peer.hold('key');
    await new Peer(new MemorySemaphoreStore({ clock })).hold('key');
  });
});
