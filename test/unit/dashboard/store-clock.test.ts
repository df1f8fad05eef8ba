import { afterEach, expect, jest, test } from '@jest/globals';
import { StoreClock } from '../../../lib/dashboard/collector/store-clock.js';

const NOW = Date.UTC(2026, 0, 1);

afterEach(() => {
  jest.restoreAllMocks();
});

test.each([3_600_000, -3_600_000])(
  'the clock of the store is followed when it is set by %d ms',
  (ms) => {
    jest.spyOn(Date, 'now').mockReturnValue(NOW);
    const clock = new StoreClock();
    clock.hear(NOW + ms);
    expect(clock.now()).toBe(NOW + ms);
    clock.hear(NOW);
    expect(clock.now()).toBe(NOW);
  },
);

test('a reply that came late hardly sets it back', () => {
  jest.spyOn(Date, 'now').mockReturnValue(NOW);
  const clock = new StoreClock();
  clock.hear(NOW + 500);
  clock.hear(NOW - 1_000);
  expect(clock.now()).toBe(NOW + 499);
});
