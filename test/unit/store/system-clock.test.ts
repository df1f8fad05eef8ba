import { AsyncLocalStorage } from 'node:async_hooks';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { systemClock } from '../../../lib/store/clock.js';

afterEach(() => {
  jest.restoreAllMocks();
});

/** Sets the wall clock off by so many milliseconds. */
function setWallClockOff(ms: number): void {
  const real = Date.now.bind(Date);
  jest.spyOn(Date, 'now').mockImplementation(() => real() + ms);
}

describe('the system clock', () => {
  test('counts the time in which the machine slept, when the monotonic clock stood still', () => {
    const before = systemClock.now();
    setWallClockOff(60_000);
    const after = systemClock.now() - before;
    expect(after).toBeGreaterThanOrEqual(59_000);
    expect(after).toBeLessThan(70_000);
  });

  test('neither goes back nor stands still when the wall clock is set back', async () => {
    const before = systemClock.now();
    setWallClockOff(-3_600_000);
    const at = systemClock.now();
    expect(at).toBeGreaterThanOrEqual(before);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(systemClock.now() - at).toBeGreaterThanOrEqual(19);
  });

  test('keeps no request in memory by a timer that was set in it', async () => {
    const requests = new AsyncLocalStorage<string>();
    const seen = await requests.run(
      'a request',
      () => new Promise((resolve) => systemClock.schedule(() => resolve(requests.getStore()), 1)),
    );
    expect(seen).toBeUndefined();
  });

  test('waits for longer than setTimeout can', () => {
    const setTimer = jest.spyOn(globalThis, 'setTimeout');
    const stop = systemClock.schedule(() => undefined, 2 ** 40);
    expect(setTimer.mock.calls.map(([, delay]) => delay)).toEqual([2 ** 31 - 1]);
    stop();
  });

  test('calls nothing after it was stopped', async () => {
    let calls = 0;
    systemClock.schedule(() => calls++, 5)();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(calls).toBe(0);
  });
});
