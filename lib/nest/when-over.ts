import type { CancelSignal } from '../semaphore.options.js';
import { StreamableFile } from '@nestjs/common';
import { finished, type Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { defer, finalize, isObservable, type Observable } from 'rxjs';
import { watchIterable } from './watched-iterable.js';
import { watchWebStream } from './watched-web-stream.js';

/** Work that goes on after the method has returned: it ends when somebody has read it all, or stops reading. */
export function isOngoing(value: unknown): boolean {
  return isObservable(value) || isBody(value);
}

/** A body that the adapter sends bit by bit. */
export function isBody(value: unknown): boolean {
  if (!isObject(value) || isThenable(value)) return false;
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
  else if (isUnreadWebStream(value)) return watchWebStream(value, over);
  else if (isAsyncIterable(value)) return watchIterable(value, over);
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

function isWebStream(value: object): value is ReadableStream<unknown> {
  return value instanceof globalThis.ReadableStream;
}

function isStream(value: unknown): value is Readable {
  return (
    isObject(value) &&
    typeof (value as { pipe?: unknown }).pipe === 'function' &&
    typeof (value as { on?: unknown }).on === 'function'
  );
}

/** Of one that somebody reads already, nobody else can tell when it ends. */
function isUnreadWebStream(value: unknown): value is ReadableStream<unknown> {
  return isObject(value) && 'getReader' in value && isWebStream(value) && !value.locked;
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return isObject(value) && Symbol.asyncIterator in value && !('getReader' in value);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
