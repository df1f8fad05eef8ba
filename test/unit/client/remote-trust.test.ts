import { expect, jest, test } from '@jest/globals';
import { VirtualClock } from 'nestjs-semaphore/testing';
import { RemoteTrust } from '../../../lib/client/remote.trust.js';

const GRACE_MS = 6000;

test('a stream that was opened again proves nothing of what was held before', async () => {
  const clock = new VirtualClock();
  const ended = jest.fn();
  const trust = new RemoteTrust(clock, GRACE_MS, { isNeeded: () => true, ask: jest.fn(), ended });
  const sample = () => ({ server: 'one', now: 0, sentAt: clock.now() });
  trust.opened(sample(), GRACE_MS);
  trust.answered(sample());
  await clock.advance(GRACE_MS / 2);
  trust.opened(sample(), GRACE_MS);
  await clock.advance(GRACE_MS / 2 - 1);
  expect(ended).toHaveBeenCalled();
  trust.stop();
});

test('what came while the process stood still is read before the trust ends', async () => {
  let read = (): void => undefined;
  /** As in an event loop, timers are before what is there to be read. */
  class LoopClock extends VirtualClock {
    override schedule(task: () => void, delayMs: number): () => void {
      const fire = (): void => {
        task();
        read();
      };
      return super.schedule(fire, delayMs);
    }
  }
  const clock = new LoopClock();
  const ended = jest.fn();
  const trust = new RemoteTrust(clock, GRACE_MS, { isNeeded: () => true, ask: jest.fn(), ended });
  const sample = () => ({ server: 'one', now: 0, sentAt: clock.now() });
  trust.opened(sample(), GRACE_MS);
  trust.answered(sample());
  read = () => {
    if (clock.now() > (GRACE_MS * 3) / 4) trust.answered(sample());
  };
  await clock.advance(GRACE_MS);
  expect(ended).not.toHaveBeenCalled();
  read = () => trust.stop();
  await clock.advance(GRACE_MS);
  expect(ended).not.toHaveBeenCalled();
});
