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

test('who comes with a higher priority than all before finds its place without a look at each of them', () => {
  let looks = 0;
  const counted = (priority: number): number => {
    const valueOf = (): number => (looks++, priority);
    return { valueOf } as unknown as number;
  };
  const local = new LocalPermits(() => 1, ignore);
  const options = resolveOptions({});
  for (let i = 0; i < 1000; i++) {
    const waiter = new Waiter('id', 'k', { ...options, priority: counted(i) }, 0, ignore, ignore);
    expect(local.enter(waiter)).toBeUndefined();
  }
  expect(looks / 1000).toBeLessThan(100);
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
