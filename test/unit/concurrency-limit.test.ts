import { expect, test } from '@jest/globals';
import { ConcurrencyLimit } from '../../lib/concurrency-limit.js';
import { Gate } from '../support/nest-app.js';
import { settled } from '../support/turns.js';

test('so many work at once, the others in the order in which they came, also after failures', async () => {
  const limit = new ConcurrencyLimit(2);
  const gates = Array.from({ length: 4 }, () => new Gate());
  const begun: number[] = [];
  const runs = gates.map((gate, i) =>
    limit.run(async () => {
      begun.push(i);
      await gate.stop();
      if (i === 0) throw new Error('of the task');
    }),
  );
  await settled();
  expect(begun).toEqual([0, 1]);
  gates[0]?.pass();
  await expect(runs[0]).rejects.toThrow('of the task');
  await settled();
  expect(begun).toEqual([0, 1, 2]);
  for (const gate of gates) gate.pass();
  await Promise.all(runs.slice(1));
  const again = await Promise.all([limit.run(() => 'a'), limit.run(() => 'b')]);
  expect(again).toEqual(['a', 'b']);
});
