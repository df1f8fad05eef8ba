import { expect, test } from '@jest/globals';
import { PermitUnavailableError } from 'nestjs-semaphore';
import { toProblem } from '../../../lib/server/problems.js';

test('the time to try again is told in whole milliseconds, rounded up', () => {
  const asked = { permits: 1, weight: 1, waitMs: 0, maxWaiting: 0 };
  const { body, headers } = toProblem(
    new PermitUnavailableError('k', 'busy', 1000.25, asked),
    fail,
  );
  expect(body).toMatchObject({ statusCode: 429, reason: 'busy', retryAfterMs: 1001 });
  expect(headers).toEqual({ 'retry-after': '2' });
});

function fail(error: unknown): never {
  throw error;
}
