import { StreamableFile } from '@nestjs/common';
import { describe, expect, it, jest } from '@jest/globals';
import { EventEmitter, once } from 'node:events';
import type { Dir } from 'node:fs';
import { opendir } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { setImmediate as settle } from 'node:timers/promises';
import { firstValueFrom, isObservable, NEVER, type Observable, of } from 'rxjs';
import type { Enter } from '../../../lib/completion/watched-iterable.js';
import { isBody, isOngoing, whenOver } from '../../../lib/completion/when-over.js';

class Paged {
  #pages = [1, 2];
  readonly size = 2;

  set pages(pages: number[]) {
    this.#pages = pages;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<number> {
    yield* this.#pages;
  }

  total(): number {
    return this.#pages.length;
  }
}

async function* numbers(): AsyncGenerator<number, string> {
  yield 1;
  yield 2;
  return 'end';
}

/** An iterator like that of a queue: `next` waits for ever, until `return` ends it. */
function queue(): AsyncIterableIterator<number> {
  let end: (result: IteratorResult<number>) => void = () => undefined;
  return {
    next: () => new Promise((resolve) => (end = resolve)),
    return: async () => {
      end({ done: true, value: undefined });
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/** Reads like the cursor of a database: it can be chained, iterated over, and read by calls that give null at the end. */
class Cursor extends EventEmitter {
  readonly #left = [1, 2];

  limit(count: number): this {
    this.#left.splice(count);
    return this;
  }

  async next(): Promise<number | null> {
    return this.#left.shift() ?? null;
  }

  async toArray(): Promise<number[]> {
    return this.#left.splice(0);
  }

  async close(): Promise<void> {
    this.emit('close');
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<number> {
    yield* this.#left;
  }
}

describe('whenOver()', () => {
  const over = jest.fn();

  function watch<T>(value: T, unread?: AbortSignal): T {
    over.mockClear();
    return whenOver(value, over, unread && { unread }) as T;
  }

  const pipe = (): undefined => undefined;
  it.each([undefined, null, 0, '', 'text', [1], { a: 1 }, { pipe }, Promise.resolve()])(
    'is at once for %p, which stays what it is',
    (value) => {
      expect(watch(value)).toBe(value);
      expect(over).toHaveBeenCalledTimes(1);
      expect(isOngoing(value)).toBe(false);
    },
  );

  it('is when an Observable completes', async () => {
    const watched = watch(of(1));
    expect(isObservable(watched)).toBe(true);
    expect(over).not.toHaveBeenCalled();
    await firstValueFrom(watched);
    expect(over).toHaveBeenCalledTimes(1);
  });

  it('is when an Observable is unsubscribed from', () => {
    const subscription = watch<Observable<never>>(NEVER).subscribe();
    expect(over).not.toHaveBeenCalled();
    subscription.unsubscribe();
    expect(over).toHaveBeenCalledTimes(1);
  });

  it('is when nobody is going to subscribe to an Observable any more', () => {
    const unread = new AbortController();
    watch(NEVER, unread.signal);
    expect(over).not.toHaveBeenCalled();
    unread.abort();
    expect(over).toHaveBeenCalledTimes(1);
    watch(NEVER, unread.signal);
    expect(over).toHaveBeenCalledTimes(1);
  });

  it('is not when an Observable that is read is also reported unread', () => {
    const unread = new AbortController();
    const subscription = watch<Observable<never>>(NEVER, unread.signal).subscribe();
    unread.abort();
    expect(over).not.toHaveBeenCalled();
    subscription.unsubscribe();
    expect(over).toHaveBeenCalledTimes(1);
  });

  it('is when a stream is closed', async () => {
    const stream = Readable.from(['a']);
    expect(watch(stream)).toBe(stream);
    expect(isOngoing(stream)).toBe(true);
    expect(over).not.toHaveBeenCalled();
    stream.resume();
    await once(stream, 'close');
    expect(over).toHaveBeenCalled();
  });

  it("is when a file's stream is closed", async () => {
    const stream = Readable.from(['a']);
    watch(new StreamableFile(stream));
    stream.destroy();
    await once(stream, 'close');
    expect(over).toHaveBeenCalled();
  });

  it('is when an iterator ends, and passes on what it returns', async () => {
    const watched = watch(numbers());
    expect(await watched.next()).toEqual({ done: false, value: 1 });
    expect(await watched.next()).toEqual({ done: false, value: 2 });
    expect(over).not.toHaveBeenCalled();
    expect(await watched.next()).toEqual({ done: true, value: 'end' });
    expect(over).toHaveBeenCalledTimes(1);
  });

  it('is when an iterator is returned, also while it waits', async () => {
    const iterator = watch(queue())[Symbol.asyncIterator]();
    const next = iterator.next();
    await iterator.return?.();
    expect(await next).toEqual({ done: true, value: undefined });
    expect(over).toHaveBeenCalled();
  });

  it('is when an iterator throws', async () => {
    const watched = watch(numbers());
    await expect(watched.throw(new Error('from outside'))).rejects.toThrow('from outside');
    expect(over).toHaveBeenCalledTimes(1);
  });

  it('leaves the rest of an iterable object alone', async () => {
    const paged = watch(new Paged());
    expect(paged).toBeInstanceOf(Paged);
    expect([paged.size, paged.total()]).toEqual([2, 2]);
    expect(over).not.toHaveBeenCalled();
    const pages = [];
    for await (const page of paged) pages.push(page);
    expect(pages).toEqual([1, 2]);
    expect(over).toHaveBeenCalledTimes(1);
  });

  it('lets properties of an iterable object be set, as on the object itself', async () => {
    const paged = watch(new Paged());
    paged.pages = [3];
    const plain = { page: 1, [Symbol.asyncIterator]: numbers };
    const fixed = watch(Object.defineProperty(plain, 'size', { value: 2 }));
    fixed.page = 3;
    expect([paged.total(), fixed.page, plain.page]).toEqual([1, 3, 3]);
    const frozen = watch(Object.freeze({ page: 1, [Symbol.asyncIterator]: numbers }));
    expect(() => Object.assign(frozen, { page: 2 })).toThrow(TypeError);
  });

  it('is when a cursor was read by another way than iteration', async () => {
    const cursor = watch(new Cursor());
    expect(await cursor.toArray()).toEqual([1, 2]);
    expect(over).toHaveBeenCalledTimes(1);
  });

  it('is when a cursor that was chained is closed, and not when a step of it gives null', async () => {
    const cursor = watch(new Cursor()).limit(1);
    expect([await cursor.next(), await cursor.next()]).toEqual([1, null]);
    expect(over).not.toHaveBeenCalled();
    await cursor.close();
    expect(over).toHaveBeenCalled();
  });

  it('is when lines are closed that were read by events', async () => {
    const lines = watch(createInterface(Readable.from(['a\n', 'b\n'])));
    const read: string[] = [];
    lines.on('line', (line) => read.push(line));
    expect(over).not.toHaveBeenCalled();
    await once(lines, 'close');
    expect(read).toEqual(['a', 'b']);
    expect(over).toHaveBeenCalled();
  });

  it('is when a directory is closed', async () => {
    const directory = watch(await opendir('.'));
    expect(await directory.read()).not.toBeNull();
    expect(over).not.toHaveBeenCalled();
    await directory.close();
    expect(over).toHaveBeenCalledTimes(1);
  });

  it.each<[string, (directory: Dir) => unknown]>([
    ['closed at once', (directory) => directory.closeSync()],
    ['closed with a callback', (directory) => new Promise((done) => directory.close(done))],
    [
      'read to its end',
      async (directory) => {
        while ((await directory.read()) !== null) expect(over).not.toHaveBeenCalled();
      },
    ],
    [
      'read to its end at once',
      (directory) => {
        while (directory.readSync() !== null) expect(over).not.toHaveBeenCalled();
      },
    ],
  ])('is when a directory is %s', async (_how, end) => {
    const source = await opendir('.');
    const directory = watch(source);
    expect(directory.readSync()).not.toBeNull();
    expect(over).not.toHaveBeenCalled();
    await end(directory);
    expect(over).toHaveBeenCalledTimes(1);
    await source.close().catch(() => undefined);
  });

  it('is when an iterable object is disposed of', () => {
    const dispose = jest.fn();
    const resource = { [Symbol.asyncIterator]: numbers, [Symbol.dispose]: dispose };
    watch(resource)[Symbol.dispose]();
    expect(dispose).toHaveBeenCalledTimes(1);
    expect(over).toHaveBeenCalledTimes(1);
  });

  it.each(['next', 'return', 'throw'] as const)(
    'is when the %s of an iterator throws at once',
    async (step) => {
      const broken = (): never => {
        throw new Error('broken');
      };
      const iterator = { next: broken, return: broken, throw: broken };
      for (const watched of [
        watch({ ...iterator, [Symbol.asyncIterator]: numbers }),
        watch({ [Symbol.asyncIterator]: () => iterator })[Symbol.asyncIterator](),
      ]) {
        over.mockClear();
        await expect(watched[step]()).rejects.toThrow('broken');
        expect(over).toHaveBeenCalledTimes(1);
      }
    },
  );

  it('is when no iterator can be made', () => {
    const watched = watch({
      [Symbol.asyncIterator](): AsyncIterator<number> {
        throw new Error('broken');
      },
    });
    expect(() => watched[Symbol.asyncIterator]()).toThrow('broken');
    expect(over).toHaveBeenCalledTimes(1);
  });

  it('is when an object that cannot be changed was iterated over', async () => {
    const fixed = watch(Object.freeze({ [Symbol.asyncIterator]: () => numbers(), size: 2 }));
    expect(fixed.size).toBe(2);
    const read = [];
    for await (const n of fixed) read.push(n);
    expect(read).toEqual([1, 2]);
    expect(over).toHaveBeenCalledTimes(1);
  });

  it('is before whoever steps through it hears of the end', async () => {
    let finish: () => void = () => undefined;
    const watched = watch(numbers());
    over.mockReturnValueOnce(new Promise<void>((resolve) => (finish = resolve)));
    let isDone = false;
    const reading = (async () => {
      for await (const _ of watched);
      isDone = true;
    })();
    await settle();
    expect([over.mock.calls.length, isDone]).toEqual([1, false]);
    finish();
    await reading;
  });

  it('is when what was chained was iterated over, or read by a call that fails', async () => {
    const query = {
      limit: () => query,
      toArray: () => Promise.reject(new Error('broken')),
      [Symbol.asyncIterator]: numbers,
    };
    for await (const _ of watch(query).limit());
    expect(over).toHaveBeenCalledTimes(1);
    await expect(watch(query).limit().toArray()).rejects.toThrow('broken');
    expect(over).toHaveBeenCalledTimes(1);
  });

  it('is not when a directory cannot be read once, of which nobody else hears', async () => {
    const faults: unknown[] = [];
    const note = (fault: unknown): number => faults.push(fault);
    process.on('unhandledRejection', note);
    const read = (): Promise<null> => Promise.reject(new Error('broken'));
    const directory = watch({ read, close: () => undefined, [Symbol.asyncIterator]: numbers });
    await expect(directory.read()).rejects.toThrow('broken');
    await settle();
    process.off('unhandledRejection', note);
    expect([faults, over.mock.calls]).toEqual([[], []]);
  });

  it('has an iterator that cannot be told of an error fail with it', async () => {
    const iterator = { next: async () => ({ done: true, value: 1 }) };
    const watched = watch({ [Symbol.asyncIterator]: () => iterator })[Symbol.asyncIterator]();
    await expect((watched as AsyncGenerator).throw(new Error('told'))).rejects.toThrow('told');
    expect(over).toHaveBeenCalledTimes(1);
  });

  it('says of a query that is waited for that it is no body, though it can be iterated over', () => {
    const query = { [Symbol.asyncIterator]: numbers };
    expect([isBody(query), isBody(Object.assign(Promise.resolve(), query))]).toEqual([true, false]);
  });

  it('is when an iterator is left that cannot be told so', async () => {
    const next = async () => ({ done: false, value: 1 });
    const watched = watch<AsyncIterable<number>>({ [Symbol.asyncIterator]: () => ({ next }) });
    const iterator = watched[Symbol.asyncIterator]() as AsyncIterableIterator<number>;
    for await (const n of iterator) if (n === 1) break;
    expect(over).toHaveBeenCalled();
  });

  it('runs what reads a cursor in the context of the work', async () => {
    const entered: unknown[] = [];
    const enter: Enter = (task) => {
      const result = task();
      entered.push(result);
      return result;
    };
    const cursor = whenOver(new Cursor(), over, { enter }) as Cursor;
    expect(entered).toContain(cursor.toArray());
  });

  describe('when its reader has left', () => {
    function watchLeft<T>(value: T): { watched: T; leave: () => void } {
      over.mockClear();
      const left = new AbortController();
      const watched = whenOver(value, over, { left: left.signal }) as T;
      return { watched, leave: () => left.abort() };
    }

    it('is once all have heard of it, also when it was before', async () => {
      const { leave } = watchLeft(new Readable({ read: () => undefined }));
      leave();
      expect(over).not.toHaveBeenCalled();
      await settle();
      expect(over).toHaveBeenCalledTimes(1);
      over.mockClear();
      whenOver(new Readable(), over, { left: AbortSignal.abort() });
      await settle();
      expect(over).toHaveBeenCalledTimes(1);
    });

    it.each([
      ['an iterator', () => numbers()],
      ['a web stream', () => new ReadableStream()],
    ])('is also between two steps of %s', async (_what, create) => {
      const { leave } = watchLeft<object>(create());
      leave();
      await settle();
      expect(over).toHaveBeenCalled();
    });

    it.each(['gives something', 'fails'])('is when the step under way %s', async (how) => {
      let settleStep: (error?: Error) => void = () => undefined;
      const step = new Promise<IteratorResult<number>>((resolve, reject) => {
        settleStep = (error) => (error ? reject(error) : resolve({ value: 1 }));
      });
      const { watched, leave } = watchLeft({
        [Symbol.asyncIterator]: () => ({ next: () => step }),
      });
      const next = watched[Symbol.asyncIterator]().next();
      leave();
      await settle();
      expect(over).not.toHaveBeenCalled();
      settleStep(how === 'fails' ? new Error('broken') : undefined);
      await next.catch(() => undefined);
      await settle();
      expect(over).toHaveBeenCalled();
    });

    it('is when a stream that was destroyed is closed, if it says so', async () => {
      let closed: () => void = () => undefined;
      const slowly = {
        read: () => undefined,
        destroy: (_error: Error | null, done: () => void) => void (closed = done),
      };
      const stream = new Readable(slowly);
      const { leave } = watchLeft(stream);
      stream.destroy();
      leave();
      await settle();
      expect(over).not.toHaveBeenCalled();
      closed();
      await settle();
      expect(over).toHaveBeenCalled();
      const silent = new Readable({ ...slowly, emitClose: false });
      const left = watchLeft(silent);
      silent.destroy();
      left.leave();
      await settle();
      expect(over).toHaveBeenCalledTimes(1);
    });
  });

  describe('of a web stream', () => {
    const chunks = (): ReadableStream<string> =>
      new ReadableStream({
        start(controller) {
          controller.enqueue('a');
          controller.enqueue('b');
          controller.close();
        },
      });

    it('is when it was read to its end', async () => {
      const stream = watch(chunks());
      expect(isOngoing(stream)).toBe(true);
      const reader = stream.getReader();
      expect(await reader.read()).toEqual({ done: false, value: 'a' });
      expect(over).not.toHaveBeenCalled();
      reader.releaseLock();
      expect(await new Response(stream.pipeThrough(new TextEncoderStream())).text()).toBe('b');
      expect(over).toHaveBeenCalledTimes(1);
    });

    it('is when it was cancelled, and its source hears why', async () => {
      const cancel = jest.fn<(reason: unknown) => void>();
      const stream = watch(new ReadableStream({ cancel }));
      await stream.cancel('enough');
      expect(cancel).toHaveBeenCalledWith('enough');
      expect(over).toHaveBeenCalledTimes(1);
    });

    it('is when its source has done what it does when it is cancelled, or failed at that', async () => {
      for (const end of ['done', 'failed']) {
        let finish: (error?: Error) => void = () => undefined;
        const cancelled = new Promise<void>((resolve, reject) => {
          finish = (error) => (error ? reject(error) : resolve());
        });
        const cancelling = watch(new ReadableStream({ cancel: () => cancelled })).cancel();
        await settle();
        expect(over).not.toHaveBeenCalled();
        finish(end === 'failed' ? new Error('broken') : undefined);
        await cancelling.catch(() => undefined);
        await settle();
        expect(over).toHaveBeenCalledTimes(1);
      }
    });

    it('is when it failed, also when nobody reads it', async () => {
      let fail: (error: Error) => void = () => undefined;
      const stream = watch(
        new ReadableStream({ start: (controller) => (fail = (error) => controller.error(error)) }),
      );
      fail(new Error('broken'));
      await Promise.resolve();
      expect(over).toHaveBeenCalledTimes(1);
      await expect(stream.getReader().read()).rejects.toThrow('broken');
    });

    describe('of bytes', () => {
      const bytes = (): ReadableStream<Uint8Array> => {
        let left = 2;
        return new ReadableStream({
          type: 'bytes',
          pull(controller) {
            controller.enqueue(new Uint8Array([1, 2, 3]));
            if (--left === 0) controller.close();
          },
        });
      };

      it('is when it was read to its end into buffers of the reader', async () => {
        const reader = watch(bytes()).getReader({ mode: 'byob' });
        const read: number[] = [];
        for (;;) {
          const { done, value } = await reader.read(new Uint8Array(2));
          if (done) break;
          if (read.length === 0) expect(over).not.toHaveBeenCalled();
          read.push(...value);
        }
        expect(read).toEqual([1, 2, 3, 1, 2, 3]);
        expect(over).toHaveBeenCalledTimes(1);
      });

      it('is when it was read to its end without', async () => {
        const read = await new Response(watch(bytes())).arrayBuffer();
        expect([...new Uint8Array(read)]).toEqual([1, 2, 3, 1, 2, 3]);
        expect(over).toHaveBeenCalledTimes(1);
      });

      it('is when it was cancelled', async () => {
        await watch(bytes()).cancel();
        expect(over).toHaveBeenCalledTimes(1);
      });
    });

    it('is at once when somebody else reads it already', () => {
      const stream = chunks();
      stream.getReader();
      expect(watch(stream)).toBe(stream);
      expect(over).toHaveBeenCalledTimes(1);
    });
  });
});
