import { isObject } from '../option-rules.js';
import type { CancelSignal } from '../cancel/cancel-signal.js';
import { finished, type Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { defer, finalize, isObservable, Observable, throwError } from 'rxjs';
import { hasMethods } from './has-methods.js';
import { onceLeft, whenAtRest } from './reader-left.js';
import { type Enter, watchIterable } from './watched-iterable.js';
import { watchWebStream } from './watched-web-stream.js';

/**
 * Work may go on after the call that began it has returned. When it is over, by what the call gave:
 *
 * | value                      | over                                                      | options           |
 * | -------------------------- | --------------------------------------------------------- | ----------------- |
 * | Observable                 | when its last subscriber has left it                      | unread, enter, lateError |
 * | Node stream, StreamableFile | when it is closed                                         | left              |
 * | web stream                 | when it was read to its end, or its cancel is done        | left, enter       |
 * | async iterable             | when it was iterated over, closed, or its iterator returned | left, enter       |
 * | anything else              | at once                                                   |                   |
 */
export interface WhenOverOptions {
  /** Fires when nobody is going to subscribe any more; says nothing once somebody has. */
  unread?: CancelSignal;
  /** Fires when nobody reads it any more: it is over when nothing is being done for the reader either. */
  left?: CancelSignal;
  /** Leads into the async context of the work, which goes on only while it is read. */
  enter?: Enter;
  /** What an Observable fails with that is subscribed to when it is over; without it the work begins anew. */
  lateError?: () => Error;
}

/** Nest's StreamableFile, of any copy of Nest. */
interface StreamCarrier {
  getStream(): Readable;
}

const asItIs: Enter = (task) => task();

/** Work that goes on after its call has returned: it ends when somebody has read it all, or stops reading. */
export function isOngoing(value: unknown): boolean {
  return (
    isObject(value) &&
    (isObservable(value) ||
      isUnreadWebStream(value) ||
      isStreamCarrier(value) ||
      isStream(value) ||
      isAsyncIterable(value))
  );
}

/** A body that the adapter sends bit by bit. */
export function isBody(value: unknown): boolean {
  if (!isObject(value) || isThenable(value)) return false;
  return (
    isStreamCarrier(value) ||
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
 * The work, begun: that of a query builder, for example, begins when somebody waits for it, and would do so in the async
 * context of whoever does.
 */
export function begun<T>(work: T | PromiseLike<T>): T | PromiseLike<T> {
  const isLazy = isThenable(work) && work.then !== Promise.prototype.then;
  return isLazy ? Promise.resolve(work) : work;
}

/**
 * Calls `over` when the work behind a value is over: stream closed, iterator returned, Observable read by nobody any
 * more; at once for any other value.
 * @param over idempotent; whoever reads an iterable waits for the promise that it may give
 * @returns the value to hand on in its place
 */
export function whenOver(
  value: unknown,
  over: () => unknown,
  { unread, left, enter = asItIs, lateError }: WhenOverOptions = {},
): unknown {
  if (isObservable(value)) return whenUnsubscribed(value, over, enter, { unread, lateError });
  const stream = streamOf(value);
  if (stream !== undefined) whenClosed(stream, over, left);
  else if (isUnreadWebStream(value)) return watchWebStream(value, over, stepsOf(enter, over, left));
  else if (isAsyncIterable(value)) return watchIterable(value, over, stepsOf(enter, over, left));
  else over();
  return value;
}

function stepsOf(enter: Enter, over: () => unknown, left: CancelSignal | undefined): Enter {
  return left === undefined ? enter : whenAtRest(left, over, enter);
}

function streamOf(value: unknown): Readable | undefined {
  if (isStreamCarrier(value)) return value.getStream();
  return isStream(value) ? value : undefined;
}

function whenClosed(stream: Readable, over: () => unknown, left: CancelSignal | undefined): void {
  finished(stream, () => void over());
  if (left === undefined) return;
  onceLeft(left, () => {
    if (!isClosing(stream)) void over();
  });
}

/** Whether it was destroyed, and has yet to say that it is closed, as not every one does. */
function isClosing(stream: Readable): boolean {
  const { _readableState: state } = stream as { _readableState?: { emitClose?: boolean } };
  return stream.destroyed && stream.closed === false && state?.emitClose === true;
}

function whenUnsubscribed(
  source: Observable<unknown>,
  over: () => unknown,
  enter: Enter,
  { unread, lateError }: WhenOverOptions,
): Observable<unknown> {
  let open = 0;
  let isOver = false;
  const end = (): void => {
    isOver = true;
    void over();
  };
  unread?.addEventListener('abort', end);
  if (unread?.aborted === true) end();
  const read = new Observable((subscriber) => enter(() => source.subscribe(subscriber))).pipe(
    finalize(() => {
      if (--open === 0) end();
    }),
  );
  return defer(() => {
    if (isOver && lateError !== undefined) return throwError(lateError);
    unread?.removeEventListener('abort', end);
    open++;
    return read;
  });
}

function isStreamCarrier(value: unknown): value is StreamCarrier {
  return hasMethods(value, 'getStream', 'getHeaders');
}

function isWebStream(value: object): value is ReadableStream<unknown> {
  return value instanceof globalThis.ReadableStream;
}

function isStream(value: unknown): value is Readable {
  return hasMethods(value, 'pipe', 'on');
}

/** Whether it is a web stream that nobody reads yet: of others nobody else can tell when they end. */
function isUnreadWebStream(value: unknown): value is ReadableStream<unknown> {
  return isObject(value) && 'getReader' in value && isWebStream(value) && !value.locked;
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return isObject(value) && Symbol.asyncIterator in value && !('getReader' in value);
}
