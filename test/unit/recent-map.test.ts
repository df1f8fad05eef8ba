import { expect, test } from '@jest/globals';
import { RecentMap } from '../../lib/recent-map.js';

test('what was asked for lately is made once', () => {
  let made = 0;
  const map = new RecentMap((from) => `${from} ${++made}`);
  expect([map.get('a'), map.get('b'), map.get('a')]).toEqual(['a 1', 'b 2', 'a 1']);
  for (let i = 0; i < 1500; i++) map.get(`other ${i}`);
  expect(map.get('a')).toBe('a 1');
});

test('one that is to remember two has forgotten the first of five', () => {
  let made = 0;
  const map = new RecentMap(() => ++made, 2);
  for (const from of ['a', 'b', 'c', 'd', 'e']) map.get(from);
  expect([map.get('e'), map.get('a')]).toEqual([5, 6]);
});

test('what was not asked for in a long time is forgotten', () => {
  let made = 0;
  const map = new RecentMap(() => ++made);
  for (let i = 0; i < 50_000; i++) map.get(String(i));
  expect(map.get('0')).toBe(50_001);
  expect(map.get('49999')).toBe(50_000);
});
