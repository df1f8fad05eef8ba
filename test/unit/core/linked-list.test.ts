import assert from 'node:assert/strict';
import { test } from '@jest/globals';
import fc from 'fast-check';
import { type Link, LinkedList } from '../../../lib/core/linked-list.js';

test('a list keeps its order, whoever leaves it, and how often', () => {
  const step = fc.tuple(fc.constantFrom('add', 'add', 'remove', 'shift'), fc.nat());
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const list = new LinkedList<number>();
      const links: Link<number>[] = [];
      let expected: number[] = [];
      for (const [at, [what, which]] of steps.entries()) {
        const link = links[which % Math.max(1, links.length)];
        if (what === 'add') {
          links.push(list.add(at));
          expected.push(at);
        } else if (what === 'shift') {
          assert.equal(list.shift(), expected.shift());
        } else if (link !== undefined) {
          list.remove(link);
          expected = expected.filter((value) => value !== link.value);
        }
        assert.deepEqual([...list], expected);
        assert.equal(list.first, expected[0]);
      }
    }),
  );
});
