import { setImmediate } from 'node:timers';
import type { Clock, StopTimer } from '../store/clock.js';

/**
 * As `schedule` of the clock, but what has come by then is read first: after this process stood still an answer may lie there,
 * and timers are before it.
 */
export function scheduleAfterReading(clock: Clock, task: () => void, delayMs: number): StopTimer {
  let isStopped = false;
  const stop = clock.schedule(() => {
    setImmediate(() => {
      if (!isStopped) task();
    });
  }, delayMs);
  return () => {
    isStopped = true;
    stop();
  };
}
