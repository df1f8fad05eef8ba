import { expect, test } from '@jest/globals';
import { LocalPermits } from '../../../lib/core/local-permits.js';
import { Waiter } from '../../../lib/core/waiter.js';
import { resolveOptions } from '../../../lib/resolve-options.js';
import type { SemaphoreOptions } from '../../../lib/semaphore.options.js';

const waiterWith = (options: SemaphoreOptions): Waiter =>
  new Waiter('id', 'k', resolveOptions(options), 0, ignore, ignore);
const ignore = (): void => undefined;

test('thousands that come and give up are not looked through for each of them', () => {
  let looks = 0;
  const local = new LocalPermits(() => {
    looks++;
    return 1;
  }, ignore);
  const waiters = Array.from({ length: 5_000 }, () => waiterWith({}));
  for (const waiter of waiters) expect(local.enter(waiter)).toBeUndefined();
  for (const waiter of waiters) local.leave(waiter);
  expect(looks).toBeLessThan(10);
});

test('who needs less room than the one before it is served when that one gives up', () => {
  const served: Waiter[] = [];
  const local = new LocalPermits(
    () => 1,
    (waiter) => served.push(waiter),
  );
  const [heavy, light] = [waiterWith({ permits: 2, weight: 2 }), waiterWith({ permits: 2 })];
  for (const waiter of [heavy, light]) local.enter(waiter);
  expect(served).toEqual([]);
  local.leave(heavy);
  expect(served).toEqual([light]);
});
