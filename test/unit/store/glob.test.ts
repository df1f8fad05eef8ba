import { expect, test } from '@jest/globals';
import { runInNewContext } from 'node:vm';
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

test('the rest of a glob is not tried anew at each place of the text', () => {
  const matches = globMatcher(`*${'?'.repeat(50_000)}b`);
  const text = 'a'.repeat(100_000);
  // 2,500,000,000 comparisons, if it were: minutes, which are cut short.
  const answer: unknown = runInNewContext('matches(text)', { matches, text }, { timeout: 30_000 });
  expect(answer).toBe(false);
});
