import type { ReadableStream } from 'node:stream/web';

/** @returns a stream of the same chunks; `over` is called when it was read to its end, failed, or was cancelled */
export function watchWebStream<T>(
  source: ReadableStream<T>,
  over: () => unknown,
): ReadableStream<T> {
  const reader = source.getReader();
  reader.closed.then(over, over);
  return new globalThis.ReadableStream<T>(
    {
      async pull(controller) {
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    // Nothing is read that nobody asks for.
    { highWaterMark: 0 },
  );
}
