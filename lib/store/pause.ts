import type { Clock } from './clock.js';

/** Resolves `ms` from now. */
export function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.schedule(resolve, ms);
  });
}
