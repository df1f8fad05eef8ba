import { expect, test } from '@jest/globals';
import type { KnownKey } from '../../../lib/dashboard/collector/known-keys.js';
import { selectKeys } from '../../../lib/dashboard/collector/select-keys.js';
import { overviewOf } from '../../../lib/dashboard/collector/view.js';
import { Statistics } from '../../../lib/dashboard/statistics/statistics.js';

const KEYS = [
  known('a', { permits: 0, held: 0, waiting: 0, oldestWaitSince: null }),
  known('b', { permits: 4, held: 1, waiting: 2, oldestWaitSince: 2_000 }),
  known('c', undefined),
  known('d', { permits: 4, held: 3, waiting: 1, oldestWaitSince: 1_000 }),
];

function known(key: string, state: Omit<NonNullable<KnownKey['state']>, 'size'> | undefined) {
  return { key, searched: key, state: state && { ...state, size: 0 }, lookedAt: 0 };
}

const statistics = new Statistics();
statistics.rejected('b', 'busy');
statistics.ended('d', 1, true);

test.each([
  ['sort=name', 'abcd'],
  ['sort=used', 'acbd'],
  ['sort=used&order=desc', 'dbac'],
  ['sort=waiting', 'acdb'],
  ['sort=waiting&order=desc', 'bdac'],
  ['sort=oldest', 'acbd'],
  ['sort=oldest&order=desc', 'dbac'],
  ['sort=rejected&order=desc', 'bacd'],
  ['sort=lost&order=desc', 'dabc'],
])('%s is %s: equals by their names, and what was not looked at as nothing', (query, order) => {
  const view = overviewOf(new URLSearchParams(query));
  const found = selectKeys(KEYS, view, statistics, Date.now());
  expect(found.map(({ key }) => key).join('')).toBe(order);
});
