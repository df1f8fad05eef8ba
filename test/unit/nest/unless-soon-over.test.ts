import { expect, jest, test } from '@jest/globals';
import { unlessSoonOver } from '../../../lib/nest/unless-soon-over.js';

const waited = (): Promise<void> => new Promise((resolve) => void unlessSoonOver(resolve));

test('a task is done once, unless it was stopped before', async () => {
  const [task, stopped] = [jest.fn(), jest.fn()];
  unlessSoonOver(task);
  unlessSoonOver(stopped)();
  expect(task).not.toHaveBeenCalled();
  await waited();
  await waited();
  expect([task.mock.calls.length, stopped.mock.calls.length]).toEqual([1, 0]);
});
