import { expect, test } from '@jest/globals';
import { PermitIds } from '../../../lib/core/permit-ids.js';

test('ids differ, and none begins with a dash: they are arguments of the command line', () => {
  const ids = Array.from({ length: 2_000 }, () => new PermitIds()).flatMap((some) => [
    some.next(),
    some.next(),
  ]);

  expect(new Set(ids).size).toBe(4_000);
  expect(ids.filter((id) => !/^\w[\w-]{11,}$/.test(id))).toEqual([]);
});
