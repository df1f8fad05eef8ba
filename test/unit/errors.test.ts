import { expect, test } from '@jest/globals';
import { asStoreError, isNothingDone, StoreUnavailableError } from '../../lib/semaphore.errors.js';

test('what the store has certainly not done is known of each key of the call', () => {
  const cause = new Error('READONLY');
  const [refused, unclear] = [true, false].map((nothingDone) =>
    asStoreError('b', new StoreUnavailableError('refused', 'a', cause, nothingDone)),
  );
  expect(refused).toMatchObject({ key: 'b', detail: 'refused', cause });
  expect([isNothingDone(refused), isNothingDone(unclear)]).toEqual([true, false]);
});
