import { expect, test } from '@jest/globals';
import { retryAfterHeader } from '../../../lib/http/retry-after.js';

test.each([
  [0, '1'],
  [1000, '1'],
  [1001, '2'],
])('who may come again in %d ms is told whole seconds, one at least', (ms, header) => {
  expect(retryAfterHeader(ms)).toBe(header);
});
