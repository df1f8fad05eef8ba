import { expect, jest, test } from '@jest/globals';
import { onAbort } from '../../../lib/cancel/on-abort.js';

test('who still listens hears of it when others have stopped', () => {
  const controller = new AbortController();
  const [first, second] = [jest.fn(), jest.fn()];
  const stop = onAbort(controller.signal, first);
  onAbort(controller.signal, second);
  stop();
  controller.abort();
  expect([first.mock.calls.length, second.mock.calls.length]).toEqual([0, 1]);
});

test('who listens after all others have stopped hears of it', () => {
  const controller = new AbortController();
  onAbort(controller.signal, jest.fn())();
  const listener = jest.fn();
  onAbort(controller.signal, listener);
  controller.abort();
  expect(listener).toHaveBeenCalledTimes(1);
});
