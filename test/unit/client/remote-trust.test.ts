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
