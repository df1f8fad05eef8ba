import assert from 'node:assert/strict';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Waiter } from '../../../lib/core/waiter.js';
import { WaitingRanks } from '../../../lib/core/waiting-ranks.js';
import { resolveOptions } from '../../../lib/resolve-options.js';

const PRIORITIES = [-1, 0, 1, 7];
const ignore = (): void => undefined;
const waiterWith = (priority: number): Waiter =>
  new Waiter('id', 'k', resolveOptions({ priority }), 0, ignore, ignore);

test('waiters are served by priority, then arrival, whoever comes twice and whoever leaves', () => {
  const step = fc.record({
    what: fc.constantFrom('come', 'come', 'again', 'leave'),
    priority: fc.constantFrom(...PRIORITIES),
    which: fc.nat(),
  });
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const ranks = new WaitingRanks();
      const known: Waiter[] = [];
      let expected: Waiter[] = [];
      for (const { what, priority, which } of steps) {
        const one = what === 'come' ? waiterWith(priority) : known[which % known.length];
        if (one === undefined) continue;
        if (what === 'come') known.push(one);
        if (what === 'leave') {
          ranks.delete(one);
          expected = expected.filter((waiter) => waiter !== one);
        } else {
          ranks.add(one);
          if (!expected.includes(one)) expected.push(one);
        }
        assert.equal(ranks.isEmpty, expected.length === 0);
        assert.equal(one.rankLink !== undefined, expected.includes(one));
        const of = (rank: number): Waiter[] =>
          expected.filter(({ options }) => options.priority === rank);
        for (const rank of PRIORITIES) assert.ok(isSame([...ranks.of(rank)], of(rank)));
        assert.equal(ranks.first, PRIORITIES.toReversed().flatMap(of)[0]);
      }
    }),
  );
});

test('waiters of a thousand priorities come and leave without a look at all the others', () => {
  let looks = 0;
  const counted = (priority: number): number => {
    const valueOf = (): number => (looks++, priority);
    return { valueOf } as unknown as number;
  };
  const options = resolveOptions({});
  const waiters = Array.from({ length: 1000 }, (_, i) => {
    const priority = counted(-i);
    return new Waiter('id', 'k', { ...options, priority }, 0, ignore, ignore);
  });
  const ranks = new WaitingRanks();
  for (const waiter of waiters) ranks.add(waiter);
  for (const waiter of waiters) ranks.delete(waiter);
  expect(ranks.isEmpty).toBe(true);
  expect(looks / waiters.length).toBeLessThan(100);
});

const isSame = (a: readonly Waiter[], b: readonly Waiter[]): boolean =>
  a.length === b.length && a.every((waiter, at) => waiter === b[at]);
