import type { CancelSignal } from '../semaphore.options.js';
import { StreamableFile } from '@nestjs/common';
import { finished, type Readable } from 'node:stream';
import { defer, finalize, isObservable, type Observable } from 'rxjs';

const STEPS: ReadonlySet<string | symbol> = new Set(['next', 'return', 'throw']);

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
export function whenOver(value: unknown, over: () => void, unread?: CancelSignal): unknown {
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
  unread?: CancelSignal,
): Observable<unknown> {
  unread?.addEventListener('abort', over);
  if (unread?.aborted === true) over();
  return defer(() => {
    unread?.removeEventListener('abort', over);
    return source;
  }).pipe(finalize(over));
}

/** Everything else about the object stays as it is: it may be more than an iterable. */
function whenReturned(source: AsyncIterable<unknown>, over: () => void): AsyncIterable<unknown> {
  return new Proxy(source, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      const call = (...args: unknown[]): unknown => Reflect.apply(member, target, args);
      if (name === Symbol.asyncIterator) {
        return () => watchSteps(target[Symbol.asyncIterator](), over);
      }
      return STEPS.has(name) ? (value: unknown) => watchStep(call(value), over) : call;
    },
  });
}

/** `return` must reach the source while a `next` is pending, so this cannot be an async generator. */
function watchSteps(iterator: AsyncIterator<unknown>, over: () => void): AsyncIterator<unknown> {
  const watched = {
    next: (value?: unknown) => watchStep(iterator.next(value), over),
    return: (value?: unknown) => watchStep(iterator.return?.(value) ?? { done: true, value }, over),
    throw: (error?: unknown) => watchStep(iterator.throw?.(error) ?? Promise.reject(error), over),
    [Symbol.asyncIterator]: () => watched,
  };
  return watched;
}

async function watchStep(step: unknown, over: () => void): Promise<IteratorResult<unknown>> {
  try {
    const result = (await step) as IteratorResult<unknown>;
    if (result.done === true) over();
    return result;
  } catch (error) {
    over();
    throw error;
  }
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
