import assert from 'node:assert/strict';
import { describe, it } from '@jest/globals';
import fc from 'fast-check';
import { type Held, Holders } from '../../../lib/store/memory/holders.js';

const holder = (id: string, deadline: number): Held => ({
  id,
  deadline,
  weight: 1,
  isReleased: false,
  position: 0,
});

describe('Holders', () => {
  it('know who comes, when the first lease ends, and whose are over, whoever is renewed or leaves', () => {
    const step = fc.record({
      what: fc.constantFrom('add', 'add', 'remove', 'end at', 'remove ended'),
      which: fc.nat(),
      time: fc.nat({ max: 50 }),
    });
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const holders = new Holders<Held>();
        let expected: Held[] = [];
        for (const [at, { what, which, time }] of steps.entries()) {
          const one = expected[which % Math.max(1, expected.length)];
          if (what === 'add') {
            const added = holder(`id-${at}`, time);
            holders.add(added);
            expected.push(added);
          } else if (what === 'remove ended') {
            const ended = expected.filter(({ deadline }) => deadline <= time);
            assert.deepEqual(new Set(holders.removeEnded(time)), new Set(ended));
            expected = expected.filter(({ deadline }) => deadline > time);
          } else if (one && what === 'remove') {
            holders.remove(one);
            expected = expected.filter((other) => other !== one);
          } else if (one) {
            holders.endAt(one, time);
          }
          assert.deepEqual(holders.all(), expected);
          assert.equal(holders.held, expected.length);
          const earliest = Math.min(...expected.map(({ deadline }) => deadline));
          assert.ok(holders.nextEnd <= earliest);
          if (time % 3 === 0) assert.equal(holders.earliestEnd, earliest);
        }
      }),
    );
  });

  it('are not looked through for each that leaves, or whose lease ends, or for when the next one does', () => {
    const count = 2000;
    let looks = 0;
    const holders = new Holders<Held>();
    const all = Array.from({ length: count }, (_, at) => {
      const watched = holder(`id-${at}`, 0);
      return Object.defineProperty(watched, 'deadline', { get: () => (looks++, at) });
    });
    for (const one of all) holders.add(one);
    for (let at = 0; at < count; at++) {
      if (at % 2 > 0) holders.remove(all[at] as Held);
      else assert.equal(holders.removeEnded(at).length, 1);
      assert.equal(holders.earliestEnd, at + 1 < count ? at + 1 : Infinity);
    }
    assert.ok(looks < 100 * count, `${looks} looks`);
  });
});
