const FIRST = { search: '', sort: 'name', descending: false };

/** Where the list was left, and for which key, for the way back from a semaphore. */
export const lastList = { address: '#/', scrollTop: 0, key: undefined };

/** What the address after the # says of the list: it survives a reload, and can be sent to somebody. */
export function readList(hash, columns) {
  const [, text] = /^#\/\?(.*)$/.exec(hash) ?? [];
  const query = new URLSearchParams(text);
  const sort = columns.find(({ id }) => id === query.get('sort'))?.id ?? FIRST.sort;
  return { search: query.get('search') ?? '', sort, descending: query.get('order') === 'desc' };
}

export function addressOf({ search, sort, descending }) {
  const query = new URLSearchParams();
  if (search !== FIRST.search) query.set('search', search);
  if (sort !== FIRST.sort) query.set('sort', sort);
  if (descending) query.set('order', 'desc');
  const text = query.toString();
  return text === '' ? '#/' : `#/?${text}`;
}

/** The page of one semaphore. */
export function addressOfKey(key) {
  return `#/s/${encodeURIComponent(key)}`;
}
