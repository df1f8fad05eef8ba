import { StreamableFile } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { Readable, Writable } from 'node:stream';
import type { ReadableByteStreamController, UnderlyingByteSource } from 'node:stream/web';
import {
  defer,
  firstValueFrom,
  lastValueFrom,
  NEVER,
  type Observable,
  of,
  retry,
  Subject,
  throwError,
} from 'rxjs';
import type { Permit } from '../../../lib/core/permit.js';
import { runUntilOver } from '../../../lib/completion/until-over.js';
import { SemaphoreService } from '../../../lib/semaphore.service.js';
import { MemorySemaphoreStore } from '../../../lib/store/memory/memory.semaphore-store.js';
import { lazily, rejection } from '../../support/semaphores.js';
import { settled } from '../../support/turns.js';
import { ScriptedStore } from '../core/scripted-store.js';

let semaphores: SemaphoreService;
/** Another process on the same store. */
let other: SemaphoreService;

beforeEach(() => {
  const store = new MemorySemaphoreStore();
  semaphores = new SemaphoreService({ store, log: 'none' });
  other = new SemaphoreService({ store, log: 'none' });
});

afterEach(async () => {
  await semaphores.close();
  await other.close();
});

const heldOf = async (key = 'k'): Promise<number> => (await other.inspect(key)).held;

/** How much is held of each key at each step. */
async function* steps(...keys: string[]): AsyncGenerator<number[]> {
  yield await Promise.all(keys.map(heldOf));
  await Promise.resolve();
  yield await Promise.all(keys.map(heldOf));
}

async function readAll<T>(source: AsyncIterable<T>): Promise<T[]> {
  const read: T[] = [];
  for await (const item of source) read.push(item);
  return read;
}

const withPermit = <T>(task: () => T | Promise<T>): Promise<T> => semaphores.withPermit('k', task);
const bound = <T>(task: () => T | Promise<T>): Promise<T> =>
  semaphores.bind('k', task)() as Promise<T>;
const scope = <T>(task: () => T | Promise<T>): Promise<T> =>
  semaphores.scope(async () => {
    await semaphores.use('k');
    return task();
  });

describe.each([
  ['withPermit', withPermit],
  ['bind', bound],
  ['scope', scope],
])('%s', (name, run) => {
  test('holds the permit until an iterator has returned', async () => {
    expect(await readAll(await run(() => steps('k')))).toEqual([[1], [1]]);
    expect(await heldOf()).toBe(0);
  });

  test('runs in its context what begins only when it is waited for', async () => {
    const key = await run(() => lazily(async () => (await semaphores.use('k')).key));
    expect(key).toBe('k');
    expect(await heldOf()).toBe(0);
  });

  test('holds the permit until nobody reads the iterator any more', async () => {
    for await (const held of await run(() => steps('k'))) {
      expect(held).toEqual([1]);
      break;
    }
    expect(await heldOf()).toBe(0);
  });

  test('holds the permit until an iterator fails, whose error passes through', async () => {
    const failing = await run(async function* () {
      yield 1;
      throw new Error('of the generator');
    });
    expect(await heldOf()).toBe(1);
    await expect(readAll(failing)).rejects.toThrow('of the generator');
    expect(await heldOf()).toBe(0);
  });

  test('holds the permit until an Observable is finished, or unsubscribed from', async () => {
    const source = new Subject<string>();
    const watched: Observable<string> = await run(() => source);
    const last = lastValueFrom(watched);
    source.next('a');
    expect(await heldOf()).toBe(1);
    source.complete();
    expect(await last).toBe('a');
    expect(await heldOf()).toBe(0);
    expect(await firstValueFrom(await run(() => of(1, 2)))).toBe(1);
    expect(await heldOf()).toBe(0);
  });

  test('holds the permit until no subscription to an Observable is open any more', async () => {
    const watched = await run(() => NEVER);
    const subscriptions = [watched.subscribe(), watched.subscribe()];
    subscriptions[0]?.unsubscribe();
    expect(await heldOf()).toBe(1);
    subscriptions[1]?.unsubscribe();
    expect(await heldOf()).toBe(0);
  });

  test('does not begin an Observable again that is over', async () => {
    let begun = 0;
    const failing = await run(() =>
      defer(() => {
        begun++;
        return throwError(() => new Error('of the work'));
      }),
    );
    const late = expect.objectContaining(
      name === 'scope'
        ? { code: 'SEMAPHORE_NO_SCOPE', reason: 'ended', key: undefined }
        : { code: 'SEMAPHORE_PERMIT_LOST', reason: 'released', key: 'k' },
    );
    await expect(lastValueFrom(failing.pipe(retry(2)))).rejects.toEqual(late);
    await expect(lastValueFrom(failing)).rejects.toEqual(late);
    expect(begun).toBe(1);
  });

  test('holds the permit until a stream is closed', async () => {
    const stream = await run(() => Readable.from(['a', 'b']));
    expect(await heldOf()).toBe(1);
    expect(await readAll(stream)).toEqual(['a', 'b']);
    if (!stream.closed) await once(stream, 'close');
    expect(await heldOf()).toBe(0);
  });

  test.each<[string, () => Readable | Writable, (stream: never) => unknown]>([
    ['only written', () => new Writable(), (stream) => stream],
    ['in a file of Nest', () => new Readable(), (stream) => new StreamableFile(stream)],
  ])('holds the permit until a stream is closed that is %s', async (_what, create, given) => {
    const stream = create();
    await run(() => given(stream as never));
    expect(await heldOf()).toBe(1);
    await once(stream.destroy(), 'close');
    expect(await heldOf()).toBe(0);
  });

  test.each([[undefined], ['text'], [{ a: 1 }], [[1]], [new Response('body')]])(
    'does not hold it for %p, which stays what it is',
    async (value) => {
      expect(await run(() => value)).toBe(value);
      expect(await heldOf()).toBe(0);
    },
  );

  test('works under it in each step of a generator', async () => {
    const ids = await run(async function* () {
      for (const options of [{}, { reentrant: true }]) {
        const own = await semaphores.use('k', { ...options, waitMs: 0 });
        const borrowed = await semaphores.acquire('k', { reentrant: true, waitMs: 0 });
        yield [own.id, borrowed.id];
        await borrowed.release();
      }
    });
    expect(new Set((await readAll(ids)).flat()).size).toBe(1);
    expect(await heldOf()).toBe(0);
  });

  test('works under it in a web stream that is read, or cancelled', async () => {
    const ids: string[] = [];
    const work = async (): Promise<void> => {
      ids.push((await semaphores.use('k', { waitMs: 0 })).id);
      ids.push((await semaphores.acquire('k', { reentrant: true, waitMs: 0 })).id);
    };
    for (const type of ['bytes', undefined] as const) {
      const pull = async (controller: ReadableByteStreamController): Promise<void> => {
        await work();
        controller.enqueue(new Uint8Array(1));
      };
      const source = { type, pull, cancel: work } as UnderlyingByteSource;
      const stream = await run(() => new ReadableStream(source, { highWaterMark: 0 }));
      for await (const _chunk of stream) break;
      expect(ids).toHaveLength(4);
      expect(new Set(ids.splice(0)).size).toBe(1);
      expect(await heldOf()).toBe(0);
    }
  });

  test('works under it in an Observable', async () => {
    const work = await run(() => defer(() => semaphores.use('k', { waitMs: 0 })));
    expect(await firstValueFrom(work)).toMatchObject({ key: 'k' });
    expect(await heldOf()).toBe(0);
  });
});

describe('what goes on after its task', () => {
  test('holds all of several keys', async () => {
    const read = await semaphores.withPermit(['a', 'b'], () => steps('a', 'b'));
    expect(await readAll(read)).toEqual([
      [1, 1],
      [1, 1],
    ]);
    expect([await heldOf('a'), await heldOf('b')]).toEqual([0, 0]);
  });

  test('gives up what it borrowed, which its holder has still', async () => {
    await semaphores.withPermit('k', async (outer) => {
      let inner: Permit | undefined;
      const task = (permit: Permit): AsyncGenerator<number[]> => {
        inner = permit;
        return steps('k');
      };
      const read = await semaphores.withPermit('k', task, { reentrant: true });
      expect(inner?.isHeld).toBe(true);
      expect(await readAll(read)).toEqual([[1], [1]]);
      expect([inner?.isHeld, outer.isHeld]).toEqual([false, true]);
    });
    expect(await heldOf()).toBe(0);
  });

  test('counts where the store is away', async () => {
    const store = new ScriptedStore();
    store.throwsAtOnce = true;
    const alone = new SemaphoreService({ store, log: 'none' });
    const local = { onStoreFailure: 'local', waitMs: 0 } as const;
    const read = await alone.withPermit('k', (permit) => Readable.from([permit.degraded]), local);
    expect(await rejection(alone.acquire('k', local))).toMatchObject({ reason: 'busy' });
    expect(await readAll(read)).toEqual([true]);
    if (!read.closed) await once(read, 'close');
    expect((await alone.acquire('k', local)).degraded).toBe(true);
  });

  test('is told when its permit is lost, and goes on', async () => {
    let permit: Permit | undefined;
    const read = await semaphores.withPermit('k', (own) => {
      permit = own;
      return steps('k');
    });
    expect(await read.next()).toEqual({ done: false, value: [1] });
    await other.forceRelease('k', permit?.id ?? '');
    expect(permit?.signal.aborted).toBe(true);
    expect(await readAll(read)).toEqual([[0]]);
  });
});

test('a result is handed on when its work has been ended', async () => {
  const told: string[] = [];
  const end = async (): Promise<void> => {
    await settled();
    told.push('ended');
  };
  const result = runUntilOver(
    (part) => part(),
    () => 'result',
    end,
    () => new Error('late'),
  );
  told.push(await result);
  expect(told).toEqual(['ended', 'result']);
});
