import { expect, test } from '@jest/globals';
import { PendingAcquire } from '../../../lib/store/redis/pending-acquire.js';
import { RedisWaiting } from '../../../lib/store/redis/redis.waiting.js';
import { VirtualClock } from '../../../lib/testing/virtual-clock.js';

/** Its timers are early, as those of a machine may be. */
class EarlyClock extends VirtualClock {
  override schedule(task: () => void, delayMs: number): () => void {
    return super.schedule(task, delayMs > 1 ? delayMs - 1 : delayMs);
  }
}

test('a granted one is forgotten when nothing is doubtful any more, though a timer is early', async () => {
  const clock = new EarlyClock();
  const waiting = new RedisWaiting(undefined as never, clock, undefined as never);
  const request = {
    ...{ key: 'k', id: 'granted', permits: 1, weight: 1, priority: 0, leaseMs: 1000 },
    ...{ wait: true, maxWaiting: Infinity },
  };
  const pending = new PendingAcquire(request, 'semaphore:{k}', 'client');
  pending.doubtedUntil = clock.now() + 100;
  waiting.expectRelease(pending);
  await clock.advance(99);
  expect(waiting.get('granted')).toBe(pending);
  await clock.advance(10);
  expect(waiting.get('granted')).toBeUndefined();
});
