import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { inParts, type Operation } from '../../../lib/store/redis/operations.js';

function operation(state: string, text: string): Operation {
  return { state, text, answered: () => undefined, failed: () => undefined };
}

const many = (count: number, text: string, state = (i: number) => `key-${i}`): Operation[] =>
  Array.from({ length: count }, (_, i) => operation(state(i), text));

const sizes = (group: Operation[], isCluster: boolean, isAlone: boolean): number[] =>
  inParts(group, isCluster, isAlone).map(({ length }) => length);

describe('operations of one turn', () => {
  test.each([
    ['few', many(31, 'A'), true, [31]],
    ['enough for two calls, when nothing is on its way', many(64, 'A'), true, [32, 32]],
    ['an odd number of them', many(33, 'R'), true, [17, 16]],
    ['the same, when something is', many(64, 'A'), false, [64]],
    ['too many for one call', many(200, 'A'), false, [64, 64, 64, 8]],
    ['too many for one call, when nothing is on its way', many(200, 'R'), true, [64, 64, 64, 8]],
    ['those of one semaphore', many(64, 'A', () => 'key'), true, [64]],
    ['those of two', many(64, 'A', (i) => (i < 40 ? 'one' : 'other')), true, [40, 24]],
    ['renewals, which nobody waits for', many(256, 'N'), true, [256]],
    ['very many renewals', many(600, 'N'), true, [256, 256, 88]],
    ['very many looks at what is kept', many(600, 'S'), true, [256, 256, 88]],
    ['very many results that are forgotten', many(600, 'X'), true, [256, 256, 88]],
  ])('travel in calls: %s', (_, group, isAlone, expected) => {
    expect(sizes(group, false, isAlone)).toEqual(expected);
  });

  test('travel together in Cluster, where one call could overtake another', () => {
    expect(sizes(many(1000, 'A'), true, true)).toEqual([1000]);
  });

  test('are all there, in their order, and none is torn from its flight', () => {
    const text = fc.constantFrom('A', 'R', 'N', 'S', 'W', 'X');
    const state = fc.constantFrom('a', 'b', 'c');
    const group = fc.array(fc.tuple(state, text), { minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(group, fc.boolean(), fc.boolean(), (all, isCluster, isAlone) => {
        const operations = all.map(([key, code]) => operation(key, code));
        const parts = inParts([...operations], isCluster, isAlone);
        expect(parts.flat().every((one, i) => one === operations[i])).toBe(true);
        expect(parts.flat()).toHaveLength(operations.length);
        for (const [i, part] of parts.slice(1).entries()) {
          const [before, after] = [parts[i]?.at(-1), part[0]];
          const isTorn = /^(SA|SR|WA|WR)$/.test(`${before?.text}${after?.text}`);
          expect(isTorn && before?.state === after?.state).toBe(false);
        }
      }),
    );
  });
});
