import type { Clock } from './clock.js';

/** What comes of `reply`, or `timeoutError` when nothing comes within `ms`. */
export function within<T>(
  clock: Clock,
  ms: number,
  reply: Promise<T>,
  timeoutError: () => Error,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = clock.schedule(() => reject(timeoutError()), ms);
    reply.then(resolve, reject).finally(stop);
  });
}
