import assert from 'node:assert/strict';
import { test } from '@jest/globals';
import fc from 'fast-check';
import { EventOrder } from '../../../lib/core/event-order.js';
import type { SemaphoreEvent } from '../../../lib/semaphore.events.js';

const eventAt = (at: number): SemaphoreEvent => ({
  type: 'permits-changed',
  at,
  key: 'k',
  permits: 1,
  previous: 2,
  pinned: false,
});
const turn = () => new Promise((resolve) => setImmediate(resolve));

test('events are told in the order in which they happened, whichever outcome is known first', async () => {
  const what = fc.constantFrom('known', 'released', 'nothing');
  const steps = fc.array(fc.record({ what, rank: fc.nat(), isBeforeEnd: fc.boolean() }));
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      const told: number[] = [];
      const order = new EventOrder(({ at }) => told.push(at));
      const outcomes = all.map(({ rank, isBeforeEnd }, at) => {
        let resolve!: () => void;
        const promise = new Promise<void>((done) => (resolve = done));
        return { at, rank, isBeforeEnd, promise, resolve };
      });
      for (const { at, promise } of outcomes) {
        const event = all[at]?.what === 'nothing' ? undefined : eventAt(at);
        if (all[at]?.what === 'known') order.pass(eventAt(at));
        else order.expect('k', promise, () => event);
      }
      outcomes.sort((a, b) => a.rank - b.rank);
      for (const { isBeforeEnd, resolve } of outcomes) if (isBeforeEnd) resolve();
      await turn();
      order.end();
      for (const { resolve } of outcomes) resolve();
      await turn();
      const known = all.map(({ what, isBeforeEnd }) =>
        what === 'released' ? isBeforeEnd : what === 'known',
      );
      assert.deepEqual(
        told,
        [...known.keys()].filter((at) => known[at]),
      );
    }),
  );
});
