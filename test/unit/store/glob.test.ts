import { expect, test } from '@jest/globals';
import { globMatcher } from '../../../lib/store/glob.js';

test.each([
  ['', '', 'a'],
  ['*', 'anything', undefined],
  ['**a', 'bca', 'bcab'],
  ['a*b*c', 'a-b-b-c', 'a-c-b'],
  ['?', '\u{1f512}', 'ab'],
  ['[a-c]x', 'bx', 'dx'],
  ['[c-a]x', 'bx', 'dx'],
  ['[^a]x', 'bx', 'ax'],
  ['[a\\]]x', ']x', 'bx'],
  ['[ab', 'b', 'c'],
  ['[]x', undefined, 'x'],
  ['a\\*b', 'a*b', 'axb'],
  ['a\\', 'a\\', 'a'],
  [`${'?'.repeat(31)}*b`, `${'a'.repeat(31)}b`, 'a'.repeat(32)],
  [`${'?'.repeat(32)}*b`, `${'a'.repeat(32)}cb`, `${'a'.repeat(31)}b`],
  [`*${'ab'.repeat(40)}*`, `a${'ab'.repeat(41)}b`, 'ab'.repeat(39)],
])('%j describes %j and not %j', (glob, described, other) => {
  const matches = globMatcher(glob);
  if (described !== undefined)
    expect([matches(described), matches(described)]).toEqual([true, true]);
  if (other !== undefined) expect(matches(other)).toBe(false);
});

test('no glob takes much longer than others of its length', () => {
  const text = 'a'.repeat(4000);
  const costOf = (pattern: string): number => {
    const matches = globMatcher(pattern);
    const costs = Array.from({ length: 3 }, () => {
      const before = process.cpuUsage();
      expect(matches(text)).toBe(false);
      return process.cpuUsage(before).user;
    });
    return Math.min(...costs);
  };
  const plain = `${'?'.repeat(2000)}b`;
  costOf(plain);
  // If the rest were tried at each place of the text, that would be hundreds of times as much.
  expect(costOf(`*${plain}`)).toBeLessThan(20 * costOf(plain) + 1000);
});
