import { describe, expect, it } from '@jest/globals';
import { tableOf } from '../../../lib/cli/table.js';
import { duration, printable, shortened, widthOf } from '../../../lib/cli/text.js';
import { printableJson } from '../../../lib/quoted.js';

describe('durations', () => {
  it.each([
    [-5, '0s'],
    [999, '0s'],
    [59_999, '59s'],
    [60_000, '1m'],
    [192_000, '3m 12s'],
    [3_600_000, '1h'],
    [3_661_000, '1h 1m'],
    [90_061_000, '1d 1h'],
    [Infinity, 'never'],
  ])('says %d ms as %s', (ms, text) => expect(duration(ms)).toBe(text));
});

describe('text for a terminal', () => {
  it('shows control characters, and leaves letters of all scripts alone', () => {
    expect(printable('a\u001b[31m\n\t\\ü語\u009b\u202e')).toBe(
      'a\\x1b[31m\\n\\t\\\\ü語\\x9b\\u{202e}',
    );
  });

  it('writes JSON that parses to the same, without control characters', () => {
    const value = { key: '\u009b\u202e\u{e0001}\n語' };
    const text = printableJson(value, 2);
    expect(text).not.toMatch(/[\u0080-\u009f\u202e\u{e0001}]/u);
    expect(JSON.parse(text)).toEqual(value);
  });

  it('counts columns, and shortens to them', () => {
    expect(widthOf('aé語🔒')).toBe(6);
    expect(shortened('語語語', 6)).toBe('語語語');
    expect(shortened('語語語', 5)).toBe('語語…');
    expect(shortened('abcdef', 4)).toBe('abc…');
  });
});

describe('tables', () => {
  const columns = [
    { title: 'ID', value: (row: string[]) => row[0] ?? '' },
    { title: 'N', value: (row: string[]) => row[1] ?? '', alignRight: true },
    { title: 'WHO', value: (row: string[]) => row[2] ?? '', isFlexible: true },
    { title: 'WHAT', value: (row: string[]) => row[3] ?? '', isFlexible: true },
  ];

  it('aligns, and shortens the widest flexible column first', () => {
    const rows = [
      ['a', '1', 'me', 'something rather long'],
      ['bb', '10', 'somebody', 'b'],
    ];
    expect(tableOf(rows, columns, 28)).toEqual([
      'ID   N  WHO       WHAT',
      'a    1  me        something…',
      'bb  10  somebody  b',
    ]);
  });

  it('leaves flexible columns out before it cuts an id', () => {
    const rows = [['x'.repeat(20), '1', 'me', 'this']];
    expect(tableOf(rows, columns, 24)).toEqual([
      `ID${' '.repeat(20)}N`.padEnd(20),
      `${'x'.repeat(20)}  1`,
    ]);
  });
});
