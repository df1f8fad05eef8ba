import type { Enter } from './watched-iterable.js';
import { begun, isOngoing, whenOver } from './when-over.js';

/**
 * Runs the task, and calls `end` when its work is over: when its promise has settled, or what it resolved with (an
 * Observable, an iterator, a stream) was read to its end. That is handed on at once.
 * @param enter leads into the async context of the work
 * @param end never rejects; idempotent
 * @param lateError what an Observable fails with that is subscribed to after that
 */
export async function runUntilOver<T>(
  enter: Enter,
  task: () => T | PromiseLike<T>,
  end: () => Promise<unknown>,
  lateError: () => Error,
): Promise<T> {
  let isOver = true;
  try {
    const result = await enter(() => begun(task()));
    if (!isOngoing(result)) return result;
    const watched = whenOver(result, end, { enter, lateError }) as T;
    isOver = false;
    return watched;
  } finally {
    if (isOver) await end();
  }
}
