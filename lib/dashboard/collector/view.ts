/** What a viewer looks at. */
export type View = OverviewView | SemaphoreView;

export interface OverviewView {
  type: 'overview';
  /** In lower case; keys that contain it are shown. */
  search: string;
  sort: SortColumn;
  descending: boolean;
  offset: number;
  limit: number;
}

interface SemaphoreView {
  type: 'semaphore';
  key: string;
}

const SORT_COLUMNS = ['name', 'used', 'waiting', 'oldest', 'rejected', 'lost'] as const;
export type SortColumn = (typeof SORT_COLUMNS)[number];

/** Rows of one answer at most. */
export const MAX_ROWS = 100;
const DEFAULT_ROWS = 50;

/** Whatever the query says becomes a view that can be answered. */
export function overviewOf(query: URLSearchParams): OverviewView {
  const sort = SORT_COLUMNS.find((column) => column === query.get('sort')) ?? 'name';
  return {
    type: 'overview',
    search: (query.get('search') ?? '').toLowerCase(),
    sort,
    descending: query.get('order') === 'desc',
    offset: wholeNumber(query.get('offset'), 0, Number.MAX_SAFE_INTEGER),
    limit: wholeNumber(query.get('limit'), DEFAULT_ROWS, MAX_ROWS),
  };
}

function wholeNumber(text: string | null, missing: number, most: number): number {
  const value = text === null || text === '' ? missing : Number(text);
  return Number.isSafeInteger(value) && value >= 0 ? Math.min(value, most) : missing;
}
