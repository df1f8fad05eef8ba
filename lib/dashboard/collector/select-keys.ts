import type { Statistics } from '../statistics/statistics.js';
import type { KnownKey } from './known-keys.js';
import type { OverviewView, SortColumn } from './view.js';

/** The keys that match the search, in the order of the view. @param keys by name */
export function selectKeys(
  keys: readonly KnownKey[],
  { search, sort, descending }: OverviewView,
  statistics: Statistics,
  now: number,
): KnownKey[] {
  const found = keys.filter(({ searched }) => searched.includes(search));
  if (sort === 'name') return descending ? found.reverse() : found;
  const ranked = found.map((known) => ({ known, rank: rankOf(known, sort, statistics, now) }));
  // Equals stay in the order of their names, whichever way the ranks go.
  ranked.sort((a, b) => (descending ? b.rank - a.rank : a.rank - b.rank));
  return ranked.map(({ known }) => known);
}

function rankOf(
  { key, state }: KnownKey,
  sort: Exclude<SortColumn, 'name'>,
  statistics: Statistics,
  now: number,
): number {
  switch (sort) {
    case 'used':
      return state === undefined ? 0 : state.held / Math.max(1, state.permits);
    case 'waiting':
      return state?.waiting ?? 0;
    case 'oldest':
      return -(state?.oldestWaitSince ?? Infinity);
    case 'rejected':
      return statistics.recent(key, now).rejected;
    case 'lost':
      return statistics.recent(key, now).lost;
  }
}
