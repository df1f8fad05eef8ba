import { expect, test } from '@jest/globals';
import { holdAtLeastOf, permitIdOf } from '../../../lib/server/permit-ids.js';

test('an id tells for how long its permit stays taken, and one that was made up at most what may be asked for', () => {
  expect(holdAtLeastOf(permitIdOf('me', 'k', undefined, 60_000.5))).toBe(60_001);
  expect(holdAtLeastOf(permitIdOf('me', 'k', 'r'))).toBe(0);
  expect(holdAtLeastOf('made-up-hzzzzzzzzzzzz')).toBe(0);
});
