import { expect, test } from '@jest/globals';
import { RemotePermits } from '../../../lib/client/remote.permits.js';
import { VirtualClock } from '../../../lib/testing/virtual-clock.js';

test('permits that lapse without a word are forgotten, and those that are held are not', async () => {
  const clock = new VirtualClock();
  const permits = new RemotePermits(clock);
  permits.noteHeld('k', 'endless', Infinity);
  permits.noteHeld('k', 'long', clock.now() + 1_000_000);
  permits.noteHeld('k', 'renewed', clock.now() + 1);
  permits.willHold('renewed', clock.now() + 1_000_000);
  for (let i = 0; i < 10_000; i++) {
    permits.noteHeld('k', `short-${i}`, clock.now() + 1);
    await clock.advance(1);
  }
  const ids = permits.distrust().map(({ id }) => id);
  expect(ids.length).toBeLessThan(200);
  expect(ids.slice(0, 2)).toEqual(['long', 'renewed']);
  expect(permits.renewals(clock.now()).map(({ id }) => id)).toEqual(['endless']);
});

test('while a renewal is under way the later of the two ends counts', () => {
  const permits = new RemotePermits(new VirtualClock());
  permits.noteHeld('k', 'a', 100);
  for (const until of [50, 200, 150]) permits.willHold('a', until);
  permits.willHold('unknown', 1);
  expect(permits.renewals(0)).toEqual([{ op: 'renew', key: 'k', id: 'a', leaseMs: 200 }]);
});
