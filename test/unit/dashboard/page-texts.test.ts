import { expect, test } from '@jest/globals';

type Format = Record<
  'age' | 'count' | 'duration' | 'maybeDuration' | 'shortCount',
  (value: number | null) => string
> & { plural: (count: number, word: string) => string };

interface Place {
  search: string;
  sort: string;
  descending: boolean;
}

interface Address {
  addressOf(place: Place): string;
  readList(hash: string, columns: { id: string }[]): Place;
}

const assets = '../../../lib/dashboard/assets';
const format = (await import(`${assets}/format.js`)) as Format;
const { moreText } = (await import(`${assets}/holders.js`)) as {
  moreText: (all: number, shown: number) => string;
};
const { addressOf, readList } = (await import(`${assets}/list-address.js`)) as Address;

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

test.each([
  [-5, '0 ms', '0 s'],
  [999, '999 ms', '0 s'],
  [4_249, '4.2 s', '4 s'],
  [9_949, '9.9 s', '9 s'],
  [9_950, '9 s', '9 s'],
  [MINUTE - 1, '59 s', '59 s'],
  [MINUTE + 5 * SECOND, '1 m 05 s', '1 m 05 s'],
  [HOUR - 1, '59 m 59 s', '59 m 59 s'],
  [2 * HOUR + 10 * MINUTE, '2 h 10 m', '2 h 10 m'],
  [24 * HOUR - 1, '23 h 59 m', '23 h 59 m'],
  [24 * HOUR, '1 d 00 h', '1 d 00 h'],
  [1_234 * 24 * HOUR + 4 * HOUR, '1,234 d 04 h', '1,234 d 04 h'],
])('the page says %d ms as %s, and as %s where it ticks', (ms, duration, age) => {
  expect([format.duration(ms), format.age(ms)]).toEqual([duration, age]);
});

test('the page says numbers in full where there is room, and one of a thing as one', () => {
  expect([99_999, 123_456].map(format.count)).toEqual(['99,999', '123,456']);
  expect([99_999, 123_456].map(format.shortCount)).toEqual(['99,999', '123.5K']);
  expect([0, 1, 2].map((n) => format.plural(n, 'key'))).toEqual(['0 keys', '1 key', '2 keys']);
  expect(format.maybeDuration(null)).toBe('–');
  expect([moreText(100, 100), moreText(1_101, 100)]).toEqual(['', 'And 1,001 more.']);
});

test('the address of the list says what is not as at first, and is read back', () => {
  const columns = [{ id: 'name' }, { id: 'used' }];
  for (const [place, address] of [
    [{ search: '', sort: 'name', descending: false }, '#/'],
    [{ search: '', sort: 'name', descending: true }, '#/?order=desc'],
    [{ search: 'a&b #ü', sort: 'used', descending: true }, expect.stringContaining('sort=used')],
  ] as [Place, string][]) {
    expect(addressOf(place)).toEqual(address);
    expect(readList(addressOf(place), columns)).toEqual(place);
  }
  const unknown = readList('#/?sort=constructor&order=up', columns);
  expect(unknown).toEqual({ search: '', sort: 'name', descending: false });
});
