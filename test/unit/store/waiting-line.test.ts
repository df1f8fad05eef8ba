import assert from 'node:assert/strict';
import { describe, it } from '@jest/globals';
import fc from 'fast-check';
import { type InLine, WaitingLine } from '../../../lib/store/memory/waiting-line.js';

describe('WaitingLine', () => {
  it('keeps its order, whoever comes and leaves', () => {
    const step = fc.record({ priority: fc.integer({ min: -3, max: 3 }), leaving: fc.nat() });
    const isLeaving = fc.boolean();
    fc.assert(
      fc.property(fc.array(fc.tuple(isLeaving, step), { size: 'large' }), (steps) => {
        const line = new WaitingLine<InLine>();
        let expected: InLine[] = [];
        for (const [arrival, [leaves, { priority, leaving }]] of steps.entries()) {
          const leaver = expected[leaving % Math.max(1, expected.length)];
          if (leaves && leaver) {
            assert.equal(line.remove(leaver.id), leaver);
            assert.equal(line.get(leaver.id), undefined);
            expected = expected.filter((waiter) => waiter !== leaver);
          } else {
            const waiter = { id: `id-${arrival}`, priority, arrival, position: 0 };
            line.add(waiter);
            expected.push(waiter);
          }
          expected.sort((a, b) => b.priority - a.priority || a.arrival - b.arrival);
          assert.equal(line.first, expected[0]);
          assert.equal(line.size, expected.length);
        }
        assert.deepEqual(line.inOrder(), expected);
        for (const waiter of expected) assert.equal(line.remove(line.first?.id ?? ''), waiter);
      }),
    );
  });

  it('removes nothing for an id that does not wait', () => {
    assert.equal(new WaitingLine().remove('stranger'), undefined);
  });
});
