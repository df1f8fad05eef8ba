import type { CallHandler, ExecutionContext } from '@nestjs/common';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { defer, lastValueFrom, Observable } from 'rxjs';
import { type Permit, Semaphore, SemaphoreInterceptor, SemaphoreService } from 'nestjs-semaphore';
import { nextEvent } from '../../support/semaphores.js';
import { settled } from '../../support/turns.js';

let semaphores: SemaphoreService;

beforeEach(() => {
  semaphores = new SemaphoreService({ log: 'none' });
});

afterEach(() => semaphores.close());

const held = async (): Promise<number> => (await semaphores.inspect('k')).held;

class Decorated {
  @Semaphore({ key: 'k' })
  handler(): void {}
}

function handle(
  handler: () => Observable<unknown>,
  method: () => unknown = handler,
): Observable<unknown> {
  const context = {
    getHandler: () => method,
    getType: () => 'ws',
    getArgs: () => [],
  } as unknown as ExecutionContext;
  const next: CallHandler = { handle: handler };
  return new SemaphoreInterceptor(semaphores).intercept(context, next);
}

test('what a handler of a message gives is read in its scope', async () => {
  let permit: Permit | undefined;
  const handler = async (): Promise<AsyncIterable<number>> => {
    permit = await semaphores.use('k');
    return (async function* () {
      expect(await semaphores.use('k')).toBe(permit);
      yield await held();
    })();
  };
  const result = (await lastValueFrom(handle(() => defer(handler)))) as AsyncIterable<number>;
  await settled();
  const released = nextEvent(semaphores, 'released');
  const read: number[] = [];
  for await (const value of result) read.push(value);
  expect(read).toEqual([1]);
  await released;
  expect(await held()).toBe(0);
  expect(permit?.signal.aborted).toBe(false);
});

test('what nobody reads any more is not read on', () => {
  const left = jest.fn();
  handle(() => new Observable(() => left))
    .subscribe()
    .unsubscribe();
  expect(left).toHaveBeenCalledTimes(1);
});

test('a handler that throws at once leaves nothing behind', async () => {
  let using: Promise<Permit> | undefined;
  const handled = handle(() => {
    using = semaphores.use('k');
    throw new Error('of the handler');
  });
  await expect(lastValueFrom(handled)).rejects.toThrow('of the handler');
  const permit = await using;
  expect(permit?.isHeld).toBe(false);
  expect(await held()).toBe(0);
});

test('nor does one with a permit', async () => {
  const handled = handle(() => {
    throw new Error('of the handler');
  }, Decorated.prototype.handler);
  const released = nextEvent(semaphores, 'released');
  await expect(lastValueFrom(handled)).rejects.toThrow('of the handler');
  await released;
  expect(await held()).toBe(0);
});

test('a service that is not ours changes nothing', () => {
  semaphores = Object.create(null, { close: { value: () => undefined } }) as SemaphoreService;
  const source = new Observable();
  expect(handle(() => source)).toBe(source);
});
