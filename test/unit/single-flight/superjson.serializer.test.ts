import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { isDeepStrictEqual } from 'node:util';
import { runInNewContext } from 'node:vm';
import { superjsonSerializer as serializer } from '../../../lib/single-flight/superjson.serializer.js';

/** Without invalid dates, none of which equals another one. */
const simple = [
  fc.boolean(),
  fc.maxSafeInteger(),
  fc.double(),
  fc.string(),
  fc.constantFrom(null, undefined),
  fc.date({ noInvalidDate: true }),
];

const values = fc.anything({
  values: simple,
  withBigInt: true,
  withMap: true,
  withSet: true,
  withSparseArray: true,
  withTypedArray: true,
  withNullPrototype: true,
  maxDepth: 4,
});

const copyOf = (value: unknown): unknown => serializer.deserialize(serializer.serialize(value));

describe('the serializer', () => {
  it('gives back what it was given', () => {
    fc.assert(
      fc.property(values, (value) => isDeepStrictEqual(copyOf(value), value)),
      { numRuns: 1000 },
    );
  });

  it('gives back a date that is none', () => {
    const [copy] = copyOf([new Date(Number.NaN)]) as [Date];
    expect(copy).toBeInstanceOf(Date);
    expect(copy.getTime()).toBeNaN();
  });

  const shared = { a: 1 };
  it.each([
    undefined,
    null,
    0,
    -0,
    '',
    false,
    Number.NaN,
    -Infinity,
    12345678901234567890n,
    new Date(0),
    /a\/b/gi,
    new Map<unknown, unknown>([[{ a: new Date(1) }, new Set([1n])]]),
    new Map([[new Date(1), { [`a.b\\c`]: undefined }]]),
    Buffer.from('bytes'),
    new Float64Array([1.5, Number.NaN]),
    new BigInt64Array([1n]),
    new Uint8Array(Buffer.from('a view').buffer, 0, 4),
    Object.assign(Array(3), { 2: 1 }),
    { 'a.b': { 'c\\d': new Date(2) }, '': -0, __x: [Number.NaN] },
    JSON.parse('{"__proto__":{"x":1},"constructor":{"prototype":2}}'),
    { one: shared, two: [shared, shared] },
    [[[[[[[[[[[[new Date(3)]]]]]]]]]]]],
  ])('gives back %p', (value) => {
    expect(isDeepStrictEqual(copyOf(value), value)).toBe(true);
  });

  it('gives back dates that are none', () => {
    const copy = copyOf(new Date(Number.NaN)) as Date;
    expect(copy).toBeInstanceOf(Date);
    expect(copy.getTime()).toBeNaN();
  });

  it('gives back URLs', () => {
    expect(copyOf([new URL('https://a.b/?c#d')])).toEqual([new URL('https://a.b/?c#d')]);
  });

  it('gives back errors with name, message, code, fields and causes', () => {
    class RateError extends Error {
      override name = 'RateError';
      readonly code = 'NO_RATE';
      readonly since = new Date(5);
    }
    const cause = Object.assign(new TypeError('deep'), { code: 42 });
    const error = new RateError('no rate', { cause: new Error('because', { cause }) });
    const [copy] = copyOf([error]) as [RateError & { cause: Error }];
    expect(copy).toBeInstanceOf(Error);
    expect(copy).toMatchObject({
      name: 'RateError',
      message: 'no rate',
      code: 'NO_RATE',
      since: new Date(5),
      cause: { message: 'because', cause: { name: 'TypeError', message: 'deep', code: 42 } },
    });
    expect(Object.keys(copy).sort()).toEqual(['code', 'since']);
  });

  it('leaves behind what an error has that cannot travel', () => {
    const error: Error & { cause?: unknown } = Object.assign(new Error('no answer'), {
      code: 'ECONNRESET',
      request: { send: () => undefined },
    });
    error.cause = error;
    const copy = copyOf(error);
    expect(copy).toMatchObject({ message: 'no answer', code: 'ECONNRESET' });
    expect(copy).not.toHaveProperty('request');
  });

  it('leaves behind what of an error cannot be read', () => {
    const error = Object.assign(new Error('no answer'), { status: 502 });
    const get = (): never => {
      throw new Error('not read yet');
    };
    for (const name of ['body', 'code', 'errors', 'cause']) {
      Object.defineProperty(error, name, { get, enumerable: true });
    }
    const copy = copyOf(error) as Error;
    expect(copy).toMatchObject({ name: 'Error', message: 'no answer', status: 502 });
    expect(Object.keys(copy)).toEqual(['status']);
  });

  it('leaves behind the fields of an error that lead back to it', () => {
    const inner = Object.assign(new Error('inner'), { code: 'E_INNER', kept: { since: 1 } });
    const outer = Object.assign(new Error('outer'), { inner, context: { errors: [inner] } });
    Object.assign(inner, { outer, all: [outer], self: inner });
    const copy = copyOf(outer) as typeof outer;
    expect(copy).toMatchObject({ message: 'outer', context: { errors: [{ code: 'E_INNER' }] } });
    expect(copy.inner).toMatchObject({ message: 'inner', code: 'E_INNER', kept: { since: 1 } });
    for (const name of ['outer', 'all', 'self']) expect(copy.inner).not.toHaveProperty(name);
    expect((copyOf(inner) as typeof inner).kept).toEqual({ since: 1 });
  });

  it('gives back what parsers make for names of any kind as a plain object', () => {
    const parsed = Object.create(Object.create(null) as object) as object;
    const names = { a: new Date(1), constructor: '2' };
    expect(copyOf({ parsed: Object.assign(parsed, names) })).toEqual({ parsed: names });
  });

  it('changes nothing that was made in another realm without a word', () => {
    const made = runInNewContext('({ list: [1], deep: { when: undefined } })') as object;
    const copy = copyOf(Object.assign(made, { day: new Date(1), seen: new Set([2n]) }));
    const expected = {
      list: [1],
      deep: { when: undefined },
      day: new Date(1),
      seen: new Set([2n]),
    };
    expect(copy).toEqual(expected);
    for (const code of ['new Date(0)', 'new Map([[1, 2]])', 'new Set([1])', '/a/g']) {
      const foreign: unknown = runInNewContext(code);
      expect(() => serializer.serialize({ foreign })).toThrow('result.foreign is an instance of');
    }
  });

  it.each(['1', 'null', '"text"', '[]', '{"a":1}'])(
    'does not take %s for a text of its own',
    (text) => {
      expect(() => serializer.deserialize(text)).toThrow('not what superjson writes');
    },
  );

  it('lets no text give an object another prototype', () => {
    const copy = copyOf(JSON.parse('{"__proto__":{"isAdmin":true}}')) as { isAdmin?: boolean };
    expect(copy.isAdmin).toBeUndefined();
    const fields = JSON.stringify({
      json: JSON.parse('{"__proto__":{"isAdmin":true}}') as unknown,
    });
    const forged = serializer.deserialize(
      JSON.stringify({
        json: { name: 'E', message: 'm', fields },
        meta: { values: [['custom', 'error']], v: 1 },
      }),
    ) as { isAdmin?: boolean };
    expect(forged.isAdmin).toBeUndefined();
  });

  it.each([
    ['a class', { json: {}, meta: { values: [['class', 'Money']], v: 1 } }],
    ['a symbol', { json: 's', meta: { values: [['symbol', 's']], v: 1 } }],
    ['a custom thing', { json: {}, meta: { values: [['custom', 'no such']], v: 1 } }],
    ['bytes', { json: ['Function', 'x'], meta: { values: [['custom', 'bytes']], v: 1 } }],
    ['a path', { json: {}, meta: { values: { '__proto__.isAdmin': ['Date'] }, v: 1 } }],
    ['another path', { json: {}, meta: { values: { 'constructor.prototype.isAdmin': ['Date'] } } }],
    [
      'a reference',
      { json: { a: 1 }, meta: { referentialEqualities: { a: ['__proto__.isAdmin'] }, v: 1 } },
    ],
  ])('makes nothing of a text that was forged to name %s', (_, forged) => {
    expect(() => serializer.deserialize(JSON.stringify(forged))).toThrow();
    expect('isAdmin' in {}).toBe(false);
  });

  class Money {
    constructor(readonly amount: number) {}
  }
  const cyclic: unknown[] = [];
  cyclic.push({ back: cyclic });

  it.each([
    ['functions', { rate: [() => 1] }, 'result.rate[0] is a function'],
    ['symbols', [Symbol('s')], 'result[0] is a symbol'],
    ['instances of classes', { price: new Money(1) }, 'result.price is an instance of Money'],
    ['what contains itself', cyclic, 'result[0].back contains itself'],
    [
      'fields of a Map',
      { rates: Object.assign(new Map(), { total: 5 }) },
      'has a field of its own',
    ],
    ['fields of a Date', Object.assign(new Date(0), { zone: 'x' }), '"zone"'],
    ['promises', [Promise.resolve()], 'result[0] is an instance of Promise'],
  ])('refuses %s', (_, value, message) => {
    expect(() => serializer.serialize(value)).toThrow(message);
  });
});
