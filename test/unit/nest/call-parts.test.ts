import { expect, jest, test } from '@jest/globals';
import { CallParts } from '../../../lib/nest/call-parts.js';

test('a call is over with the last of its parts, however often the others end', () => {
  const over = jest.fn();
  const parts = new CallParts(over);
  const [first, second] = [parts.begin(), parts.begin()];
  first();
  first();
  expect([parts.isOver, over.mock.calls.length]).toEqual([false, 0]);
  second();
  expect([parts.isOver, over.mock.calls.length]).toEqual([true, 1]);
});
