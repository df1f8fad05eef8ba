import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { isDeepStrictEqual } from 'node:util';
import { InvalidOptionsError } from 'nestjs-semaphore';
import { argumentKey } from '../../../lib/single-flight/argument-key.js';

/** Everything that can be keyed. */
const values = fc.anything({
  withBigInt: true,
  withDate: true,
  withMap: true,
  withSet: true,
  withSparseArray: true,
  withTypedArray: true,
  withNullPrototype: false,
  maxDepth: 4,
});

describe('keys of arguments', () => {
  it('are equal exactly when the arguments are', () => {
    fc.assert(
      fc.property(values, values, (a, b) => {
        expect(argumentKey([a]) === argumentKey([b])).toBe(isDeepStrictEqual(a, b));
      }),
      { numRuns: 500 },
    );
  });

  it('are equal for a copy, however its properties, entries and members are ordered', () => {
    fc.assert(
      fc.property(values, (value) => {
        expect(argumentKey([reordered(value)])).toBe(argumentKey([value]));
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    [[1], ['1']],
    [[0], [-0]],
    [[null], [undefined]],
    [[{}], [{ a: undefined }]],
    [[], [undefined]],
    [[1, 2], [[1, 2]]],
    [['a', 'b'], ['a,b']],
    [
      ['a"', 'b'],
      ['a', '"b'],
    ],
    [[1n], [1]],
    [[true], ['true']],
    [[Number.NaN], ['NaN']],
    [[new Date(1)], [new Date(2)]],
    [[new Date(1)], [1]],
    [[new Map([['a', 1]])], [{ a: 1 }]],
    [[new Set([1])], [[1]]],
    [[{ _x: 1 }], [{ x: 1 }]],
    [[[undefined]], [Array(1)]],
    [[new Uint8Array([1])], [Buffer.from([1])]],
    [[/a/], [/a/g]],
    [[new URL('http://a.b')], ['http://a.b/']],
    [['\ud800'], ['\ud801']],
    [[new Date(Number.NaN)], [new Date(0)]],
  ])('tell %p from %p', (a, b) => {
    expect(argumentKey(a)).not.toBe(argumentKey(b));
  });

  it('take values twelve levels deep', () => {
    const nest = (leaf: unknown): unknown => {
      let value = leaf;
      for (let depth = 0; depth < 12; depth++) value = { next: [value] };
      return value;
    };
    expect(argumentKey([nest(1)])).toBe(argumentKey([nest(1)]));
    expect(argumentKey([nest(1)])).not.toBe(argumentKey([nest('1')]));
  });

  it('take the same object in several places', () => {
    const shared = { a: 1 };
    expect(argumentKey([[shared, shared]])).toBe(argumentKey([[{ a: 1 }, { a: 1 }]]));
  });

  it('take what parsers make for names of any kind as a plain object', () => {
    for (const prototype of [null, Object.create(null) as object]) {
      const parsed: object = Object.assign(Object.create(prototype) as object, { a: 1 });
      expect(argumentKey([parsed])).toBe(argumentKey([{ a: 1 }]));
    }
  });

  class Money {
    constructor(readonly amount: number) {}
  }
  const cyclic: { self?: unknown } = {};
  cyclic.self = { again: cyclic };
  let deep: unknown = 1;
  for (let i = 0; i < 200; i++) deep = [deep];

  it.each([
    ['a function', { a: [() => 1] }, 'arguments[0].a[0]'],
    ['a symbol', Symbol('s'), 'arguments[0]'],
    ['an instance of a class', { price: new Money(1) }, 'arguments[0].price'],
    ['an instance of a subclass', new (class Rates extends Map {})(), 'arguments[0]'],
    ['an error', new Error('no'), 'arguments[0]'],
    ['a promise', Promise.resolve(), 'arguments[0]'],
    ['a property named by a symbol', { [Symbol('s')]: 1 }, 'arguments[0]'],
    ['a field of a Map', [Object.assign(new Map(), { total: 5 })], 'arguments[0][0].total'],
    ['a field of a Date', Object.assign(new Date(0), { zone: 'x' }), 'arguments[0].zone'],
    ['a cycle', cyclic, 'arguments[0].self.again'],
  ])('refuse %s, and say where it is', (_, value, option) => {
    expect(() => argumentKey([value])).toThrow(InvalidOptionsError);
    expect(() => argumentKey([value])).toThrow(`\`${option}\``);
  });

  it('refuse what is nested too deep, with an error of ours', () => {
    expect(() => argumentKey([deep])).toThrow(InvalidOptionsError);
  });
});

/** An equal value, built in another order. */
function reordered(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
  if (value instanceof Date) return new Date(value);
  if (value instanceof Map) {
    return new Map([...value].reverse().map(([key, item]) => [reordered(key), reordered(item)]));
  }
  if (value instanceof Set) return new Set([...value].reverse().map(reordered));
  const copy: object = Array.isArray(value) ? Array(value.length) : {};
  for (const [name, item] of Object.entries(value).reverse()) {
    Object.defineProperty(copy, name, {
      value: reordered(item),
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  return copy;
}
