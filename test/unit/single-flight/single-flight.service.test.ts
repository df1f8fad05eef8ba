import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { AsyncLocalStorage } from 'node:async_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  InvalidOptionsError,
  MemorySemaphoreStore,
  SemaphoreService,
  SingleFlightService,
  type StoreClient,
} from 'nestjs-semaphore';
import { permitKeyOf } from '../../../lib/single-flight/flight-keys.js';
import { lazily } from '../../support/semaphores.js';

let semaphores: SemaphoreService;
let flights: SingleFlightService;

beforeEach(() => {
  semaphores = new SemaphoreService({ log: 'none' });
  flights = new SingleFlightService(semaphores);
});

afterEach(() => semaphores.close());

/** Fails to compile where the types are not the same. */
type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

it('keeps apart what would be the same in UTF-8', () => {
  const keys = ['\ud800', '\ud801', 'a\udc00', 'a\udc01', '\ufffd'];
  const sent = keys.map((key) => Buffer.from(permitKeyOf(key)).toString());
  expect(new Set(sent).size).toBe(keys.length);
});

it('does the work of who takes over from a caller that gave up, in the context of that one', async () => {
  const storage = new AsyncLocalStorage<string>();
  const led = await semaphores.acquire(permitKeyOf('key'));
  const impatient = new AbortController();
  const work = (): string | undefined => storage.getStore();
  const first = storage.run('first', () => flights.run('key', work, { signal: impatient.signal }));
  const second = storage.run('second', () => flights.run('key', work));
  impatient.abort();
  await expect(first).rejects.toMatchObject({ code: 'SINGLE_FLIGHT_ABORTED' });
  await led.release();
  expect(await second).toBe('second');
});

describe('wrap', () => {
  it("has the function's type, made async", async () => {
    const sync = flights.wrap(function add(a: number, b?: string): string {
      return `${a}${b ?? ''}`;
    });
    const isSync: Same<Parameters<typeof sync>, [a: number, b?: string]> = true;
    const isPromise: Same<ReturnType<typeof sync>, Promise<string>> = true;
    const late = flights.wrap(async function find(id: bigint): Promise<{ id: bigint } | null> {
      return { id };
    });
    const isFlat: Same<ReturnType<typeof late>, Promise<{ id: bigint } | null>> = true;
    const value: Promise<number> = flights.run('key', () => 1);
    expect([isSync, isPromise, isFlat]).toEqual([true, true, true]);
    expect([await sync(1, 'x'), await late(1n), await value]).toEqual(['1x', { id: 1n }, 1]);
    expect([sync.name, sync.length]).toEqual(['add', 2]);
  });

  it('runs equal calls once, others apart, and hands on `this`', async () => {
    let runs = 0;
    const counter = {
      by: 10,
      times: flights.wrap(
        async function (this: { by: number }, n: number) {
          runs++;
          return this.by * n;
        },
        { key: 'times' },
      ),
    };
    const calls = [counter.times(1), counter.times(1), counter.times(2)];
    expect(await Promise.all(calls)).toEqual([10, 10, 20]);
    expect(runs).toBe(2);
  });

  it('names results by the function, for forget', async () => {
    let runs = 0;
    const rate = flights.wrap(
      function rateOf(_pair: string, _options: object) {
        return ++runs;
      },
      { ttlMs: 60_000 },
    );
    expect(await rate('EUR', { a: 1, b: 2 })).toBe(1);
    expect(await rate('EUR', { b: 2, a: 1 })).toBe(1);
    await flights.forget(flights.keyOf('rateOf', 'EUR', { b: 2, a: 1 }));
    expect(await rate('EUR', { a: 1, b: 2 })).toBe(2);
  });

  it('calls a flight without arguments by its plain name, for forget and for run', async () => {
    let runs = 0;
    const rates = flights.wrap((..._args: string[]) => ++runs, { key: 'rates', ttlMs: 60_000 });
    expect(await rates()).toBe(1);
    expect(await flights.run('rates', () => 'work of its own', { ttlMs: 60_000 })).toBe(1);
    expect(await rates('EUR')).toBe(2);
    await flights.forget('rates');
    expect(await rates()).toBe(3);
    expect(await rates('EUR')).toBe(2);
  });

  it('refuses a function without a name, and bad options, at once', () => {
    expect(() => flights.wrap(() => 1)).toThrow(InvalidOptionsError);
    expect(() => flights.wrap(() => 1, { key: 'k', ttlMs: -1 })).toThrow('`ttlMs`');
    expect(() => flights.wrap(5 as never)).toThrow('`fn`');
  });
});

describe('run', () => {
  it.each([
    ['an empty key', '', () => 1, {}, 'key'],
    ['a key that is no string', 5 as never, () => 1, {}, 'key'],
    ['no work', 'k', undefined as never, {}, 'work'],
    ['a signal that is none', 'k', () => 1, { signal: {} as AbortSignal }, 'signal'],
    ['an unknown option', 'k', () => 1, { ttl: 1 } as never, 'ttl'],
  ])('refuses %s', async (_, key, work, options, option) => {
    await expect(flights.run(key, work, options)).rejects.toMatchObject({
      code: 'SEMAPHORE_INVALID_OPTIONS',
      option,
      key: option === 'key' ? undefined : 'k',
    });
  });

  it('rejects with what the work throws at once', async () => {
    const work = (): never => {
      throw new RangeError('at once');
    };
    await expect(flights.run('k', work)).rejects.toThrow(RangeError);
  });

  it('gives the permit back when the store throws instead of publishing', async () => {
    class Unable extends MemorySemaphoreStore {
      override connect(client: StoreClient) {
        const session = super.connect(client);
        session.flights!.publish = () => {
          throw new Error('at once');
        };
        return session;
      }
    }
    const others = new SemaphoreService({ log: 'none', store: new Unable() });
    await expect(new SingleFlightService(others).run('k', () => 1)).rejects.toThrow('at once');
    expect(await others.inspect(permitKeyOf('k'))).toMatchObject({ holders: [] });
    await others.close();
  });

  it('refuses to wait for the flight whose work it is a part of, however deep', async () => {
    const again = (): Promise<number> => flights.run('a', () => 1);
    const refused = { code: 'SEMAPHORE_INVALID_OPTIONS', option: 'key', value: 'a' };
    await expect(flights.run('a', again)).rejects.toMatchObject(refused);
    await expect(flights.run('a', () => flights.run('b', again))).rejects.toMatchObject(refused);
    const lazy = flights.run('a', () => lazily(again), { timeoutMs: 1_000 });
    await expect(lazy).rejects.toMatchObject(refused);
    const joined = [flights.run('a', again), flights.run('a', again)];
    for (const call of joined) await expect(call).rejects.toMatchObject(refused);
  });

  it('lets work that is over, or another service, ask for the same key', async () => {
    const others = new SemaphoreService({ log: 'none' });
    const elsewhere = new SingleFlightService(others);
    expect(await flights.run('a', () => elsewhere.run('a', () => 1))).toBe(1);
    await others.close();
    const { later } = await flights.run('a', () => ({
      later: nextTurn().then(() => flights.run('a', () => 2)),
    }));
    expect(await later).toBe(2);
  });

  it('does not begin for a signal that is aborted already', async () => {
    const work = (): never => {
      throw new Error('it began');
    };
    const signal = AbortSignal.abort('too late');
    await expect(flights.run('k', work, { signal })).rejects.toMatchObject({
      code: 'SINGLE_FLIGHT_ABORTED',
      cause: 'too late',
    });
  });

  it('takes another serializer', async () => {
    const texts: string[] = [];
    const serializer = {
      serialize(value: unknown) {
        texts.push(JSON.stringify(value));
        return texts.at(-1) ?? '';
      },
      deserialize: (text: string): unknown => ({ from: text }),
    };
    await flights.run('k', () => ({ a: 1 }), { ttlMs: 60_000, serializer });
    expect(texts).toEqual(['{"a":1}']);
    expect(await flights.run('k', () => 0, { serializer })).toEqual({ from: '{"a":1}' });
  });

  it('does the work again when its serializer makes a promise of what is stored', async () => {
    const serializer = {
      serialize: JSON.stringify,
      deserialize: (): Promise<never> => Promise.reject(new Error('nobody hears this')),
    };
    await flights.run('k', () => 1, { ttlMs: 60_000, serializer });
    expect(await flights.run('k', () => 2, { serializer })).toBe(2);
  });

  it('does the work again when its serializer does not understand what is stored', async () => {
    const serializer = { serialize: () => 'half of', deserialize: JSON.parse };
    await flights.run('k', () => 1, { ttlMs: 60_000, serializer });
    expect(await flights.run('k', () => 2)).toBe(2);
  });

  it.each([
    ['nothing of undefined', JSON.stringify, undefined, 'undefined'],
    ['a promise', (value: unknown) => Promise.resolve(JSON.stringify(value)), 1, 'object'],
    ['a promise that fails', () => Promise.reject(new Error('nobody hears this')), 1, 'object'],
    ['bytes', () => Buffer.of(1), 1, 'object'],
  ])('shares no result of which its serializer makes %s', async (_, serialize, result, type) => {
    const serializer = { serialize: serialize as () => string, deserialize: JSON.parse };
    const first = flights.run('k', () => result, { serializer });
    const second = flights.run('k', () => 'unused', { serializer });
    await expect(second).rejects.toMatchObject({
      code: 'SINGLE_FLIGHT_RESULT_NOT_SHARED',
      message: expect.stringContaining(`its serializer made ${type} of it`),
    });
    expect(await first).toBe(result);
  });

  it('does not warn of a signal that many callers share', async () => {
    const warnings: Error[] = [];
    const note = (warning: Error): number => warnings.push(warning);
    process.on('warning', note);
    const { signal } = new AbortController();
    await Promise.all(Array.from({ length: 50 }, () => flights.run('k', () => 1, { signal })));
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', note);
    expect(warnings).toEqual([]);
  });
});

describe('keys in the store', () => {
  it('are what was asked for, when that is short', () => {
    expect(permitKeyOf('rates')).toBe('single-flight:rates');
  });

  it('never take more than a key may, and stay apart', () => {
    const long = 'ü'.repeat(300);
    const keys = [`${long}a`, `${long}b`, 'half \ud800', 'half \ud801'].map(permitKeyOf);
    expect(new Set(keys).size).toBe(4);
    for (const key of keys) expect(Buffer.byteLength(key)).toBeLessThanOrEqual(512);
    expect(permitKeyOf(`${long}a`)).toBe(keys[0]);
  });
});
