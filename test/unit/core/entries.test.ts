import assert from 'node:assert/strict';
import { expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { ChurningMap } from '../../../lib/churning-map.js';
import { Entries } from '../../../lib/core/entries.js';
import { HeldPermit, type PermitKeeper } from '../../../lib/core/held-permit.js';
import { Waiter } from '../../../lib/core/waiter.js';
import { resolveOptions } from '../../../lib/resolve-options.js';

const GRANT = {
  fencingToken: 1,
  acquiredAt: 0,
  expiresAt: 1000,
  deadline: 1000,
  provisional: false,
  permits: 10,
};
const KEEPER: PermitKeeper = {
  now: () => 0,
  renew: () => Promise.resolve(),
  release: () => Promise.resolve('released'),
  lose: () => undefined,
};
const ignore = (): void => undefined;
const waiterFor = (key: string, weight: number): Waiter =>
  new Waiter('id', key, resolveOptions({ permits: 10, weight }), 0, ignore, ignore);
const permitOf = (key: string, weight: number): HeldPermit =>
  new HeldPermit(waiterFor(key, weight), 'id', GRANT, 0, 1000, KEEPER);

test('the weights held of each key are right, whatever comes, goes and takes the place of another', () => {
  const step = fc.record({
    what: fc.constantFrom('hold', 'wait', 'delete', 'stopCounting'),
    id: fc.constantFrom('1', '2', '3', '4', '5'),
    key: fc.constantFrom('a', 'b'),
    weight: fc.integer({ min: 1, max: 9 }),
  });
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const entries = new Entries();
      for (const { what, id, key, weight } of steps) {
        if (what === 'hold') entries.set(id, permitOf(key, weight));
        else if (what === 'wait') entries.set(id, waiterFor(key, weight));
        else if (what === 'delete') entries.delete(id);
        else entries.stopCounting();
        for (const asked of ['a', 'b']) {
          const held = [...entries.values()]
            .filter((entry) => entry instanceof HeldPermit)
            .filter((permit) => permit.key === asked);
          const sum = held.reduce((all, permit) => all + permit.weight, 0);
          assert.equal(entries.weightHeld(asked), sum);
        }
      }
    }),
  );
});

test('thousands of keys are counted with one look through all that is held', () => {
  const entries = new Entries();
  const looks = jest.spyOn(ChurningMap.prototype, 'values');
  for (let i = 0; i < 2000; i++) {
    entries.set(`waiter ${i}`, waiterFor(`k${i}`, 1));
    entries.set(`permit ${i}`, permitOf(`k${i}`, 2));
    expect(entries.weightHeld(`k${i}`)).toBe(2);
  }
  expect(looks).toHaveBeenCalledTimes(1);
  looks.mockRestore();
});
