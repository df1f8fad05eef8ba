import type { ReadableStream } from 'node:stream/web';
import type { Enter } from './watched-iterable.js';

/** Of a stream of bytes, or of one of anything else. */
interface Controller {
  readonly byobRequest?: { respond(bytes: number): void } | null;
  enqueue(chunk: unknown): void;
  close(): void;
}

/**
 * Calls `over` when the stream was read to its end, failed, or was cancelled.
 * @returns a stream of the same chunks, and of bytes if the source is
 */
export function watchWebStream(
  source: ReadableStream<unknown>,
  over: () => unknown,
  enter: Enter,
): ReadableStream<unknown> {
  const isOfBytes = givesBytes(source);
  const reader = source.getReader();
  let cancelled: Promise<void> | undefined;
  const end = (): unknown => (cancelled === undefined ? over() : cancelled.then(over, over));
  reader.closed.then(end, end);
  const reading = {
    async pull(controller: Controller): Promise<void> {
      const { done, value } = await enter(() => reader.read());
      if (!done) return controller.enqueue(value);
      controller.close();
      // Whoever reads into a buffer gets it back.
      controller.byobRequest?.respond(0);
    },
    cancel: (reason: unknown) => (cancelled = enter(() => reader.cancel(reason))),
  };
  // Nothing is read that nobody asks for.
  const onDemand = { highWaterMark: 0 };
  return isOfBytes
    ? new globalThis.ReadableStream({ ...reading, type: 'bytes' }, onDemand)
    : new globalThis.ReadableStream(reading, onDemand);
}

/** Whether it is a stream of bytes: only such a one has readers that bring their own buffer. */
function givesBytes(source: ReadableStream<unknown>): boolean {
  try {
    source.getReader({ mode: 'byob' }).releaseLock();
    return true;
  } catch {
    return false;
  }
}
