import { StreamableFile } from '@nestjs/common';
import { finished, type Readable } from 'node:stream';
import { defer, finalize, isObservable, type Observable } from 'rxjs';

type Step = IteratorResult<unknown>;
const DONE: Step = { done: true, value: undefined };

/** Work that goes on after the method has returned: it ends when somebody has read it all, or stops reading. */
export function isOngoing(value: unknown): boolean {
  return isObservable(value) || isBody(value);
}

/** A body that the adapter sends bit by bit. */
export function isBody(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || isThenable(value)) return false;
  return (
    value instanceof StreamableFile ||
    isStream(value) ||
    'getReader' in value ||
    Symbol.asyncIterator in value ||
    Object.prototype.toString.call(value) === '[object Response]'
  );
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    (typeof value === 'object' || typeof value === 'function') &&
    value !== null &&
    typeof (value as { then?: unknown }).then === 'function'
  );
}

/**
 * Calls `over` when the work behind a value is over: stream closed, iterator returned, Observable finished; at once for
 * any other value.
 * @param unread fires when nobody is going to subscribe to an Observable any more
 * @returns the value to hand on in its place
 */
export function whenOver(value: unknown, over: () => void, unread?: AbortSignal): unknown {
  if (isObservable(value)) return whenUnsubscribed(value, over, unread);
  if (value instanceof StreamableFile) finished(value.getStream(), over);
  else if (isStream(value)) finished(value, over);
  else if (isAsyncIterable(value)) return whenReturned(value, over);
  else over();
  return value;
}

function whenUnsubscribed(
  source: Observable<unknown>,
  over: () => void,
  unread?: AbortSignal,
): Observable<unknown> {
  unread?.addEventListener('abort', over);
  if (unread?.aborted === true) over();
  return defer(() => {
    unread?.removeEventListener('abort', over);
    return source;
  }).pipe(finalize(over));
}

/** `return` must reach the source while a `next` is pending, so this cannot be an async generator. */
function whenReturned(source: AsyncIterable<unknown>, over: () => void): AsyncIterable<unknown> {
  const iterator = source[Symbol.asyncIterator]();
  const watch = async (step: Promise<Step> | undefined, last: Step): Promise<Step> => {
    try {
      const result = (await step) ?? last;
      if (result.done === true) over();
      return result;
    } catch (error) {
      over();
      throw error;
    }
  };
  const watched = {
    next: (value?: unknown) => watch(iterator.next(value), DONE),
    return: (value?: unknown) => watch(iterator.return?.(value), { done: true, value }),
    throw: (error?: unknown) => watch(iterator.throw?.(error) ?? Promise.reject(error), DONE),
    [Symbol.asyncIterator]: () => watched,
  };
  return watched;
}

function isStream(value: unknown): value is Readable {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as { pipe?: unknown }).pipe === 'function' &&
    typeof (value as { on?: unknown }).on === 'function'
  );
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    Symbol.asyncIterator in value &&
    !('getReader' in value)
  );
}
