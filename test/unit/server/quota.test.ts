import { expect, test } from '@jest/globals';
import { Quota } from '../../../lib/server/quota.js';

test('who leaves twice makes room for one', () => {
  const quota = new Quota(2, 'TOO_MANY', 'things');
  const leave = quota.enter('me');
  quota.enter('me');
  leave();
  leave();
  quota.enter('me');
  expect(() => quota.enter('me')).toThrow('2 things');
});
