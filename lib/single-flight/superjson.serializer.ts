import { SuperJSON, type SuperJSONResult } from 'superjson';
import { types } from 'node:util';
import { describeError, type ErrorText, toError } from './error-text.js';
import {
  bytesOf,
  bytesType,
  type BytesType,
  fromBytes,
  isBytes,
  isDense,
  isError,
  isPlainObject,
} from './plain-values.js';
import { isJson, requireShareable } from './shareable.js';
import type { SingleFlightSerializer } from './single-flight.options.js';

/** Names that superjson refuses, because of what others do with them. Here they are names like any other. */
const DREADED = ['__proto__', 'constructor', 'prototype'];

/** In front of JSON that superjson has nothing to do with. */
const PLAIN = '=';

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** superjson goes on with what is in them. */
type Entries = [string, Json][];

// An instance of our own: the application may have registered classes with the common one.
const superjson = new SuperJSON();

superjson.registerCustom<ArrayBufferView | ArrayBuffer, [BytesType, string]>(
  {
    isApplicable: (value): value is ArrayBufferView | ArrayBuffer =>
      typeof value === 'object' && value !== null && isBytes(value),
    serialize: (value) => [bytesType(value), bytesOf(value).toString('base64')],
    deserialize: ([type, text]) =>
      fromBytes(type, Buffer.from(text, 'base64')) as ArrayBufferView | ArrayBuffer,
  },
  'bytes',
);

superjson.registerCustom<Error, ErrorText>(
  {
    isApplicable: isError,
    serialize: (error) => describeError(error, encode),
    deserialize: (text) => toError(text, decode),
  },
  'error',
);

superjson.registerCustom<unknown[], { length: number; entries: Entries }>(
  {
    isApplicable: (value): value is unknown[] => Array.isArray(value) && !isDense(value),
    serialize: (array) => ({ length: array.length, entries: Object.entries(array) as Entries }),
    deserialize({ length, entries }) {
      const array: unknown[] = [];
      array.length = length;
      return define(array, entries);
    },
  },
  'array',
);

superjson.registerCustom<object, { isBare: boolean; entries: Entries }>(
  {
    isApplicable: (value): value is object =>
      typeof value === 'object' &&
      value !== null &&
      isPlainObject(value) &&
      !isForeign(value) &&
      (Object.getPrototypeOf(value) === null || DREADED.some((name) => Object.hasOwn(value, name))),
    serialize: (object) => ({
      isBare: Object.getPrototypeOf(object) === null,
      entries: Object.entries(object) as Entries,
    }),
    deserialize: ({ isBare, entries }) =>
      define(isBare ? (Object.create(null) as object) : {}, entries),
  },
  'object',
);

// superjson does not see what is in them.
superjson.registerCustom<object, string>(
  {
    isApplicable: (value): value is object =>
      typeof value === 'object' && value !== null && isPlainObject(value) && isForeign(value),
    serialize: (object) => encode({ ...object }),
    deserialize: (text) => decode(text) as object,
  },
  'foreign',
);

superjson.registerCustom<Date, null>(
  {
    isApplicable: (value): value is Date => types.isDate(value) && Number.isNaN(value.getTime()),
    serialize: () => null,
    deserialize: () => new Date(Number.NaN),
  },
  'no-date',
);

/**
 * Results as superjson writes them: Date, Map, Set, BigInt, RegExp, URL, undefined, NaN, -0, Infinity, typed arrays, Buffers, sparse
 * arrays, and errors with name, message, `code`, `cause` and fields of their own. It refuses what would not come back as it
 * was: functions, symbols, instances of classes, values that contain themselves. What comes back is data: no class of the
 * application is made, and nothing is run.
 */
export const superjsonSerializer: SingleFlightSerializer = {
  serialize(value) {
    // Most results are no more than JSON, which costs a tenth.
    if (isJson(value)) return PLAIN + JSON.stringify(value);
    requireShareable(value);
    return encode(value);
  },
  deserialize: (text) => (text.startsWith(PLAIN) ? JSON.parse(text.slice(1)) : decode(text)),
};

function encode(value: unknown): string {
  const { json, meta } = superjson.serialize(value);
  // What stands in several places is written out in each: paths to it would lead through what was transformed.
  return JSON.stringify(
    meta?.values === undefined ? { json } : { json, meta: { values: meta.values, v: meta.v } },
  );
}

function decode(text: string): unknown {
  const parsed = JSON.parse(text) as SuperJSONResult | null;
  if (typeof parsed !== 'object' || parsed === null || !('json' in parsed)) {
    throw new TypeError('The text is not what superjson writes');
  }
  return parsed.meta === undefined ? parsed.json : superjson.deserialize(parsed, { inPlace: true });
}

/** Whether it is of another realm, such as a sandbox, or has an empty prototype. */
function isForeign(object: object): boolean {
  const proto: unknown = Object.getPrototypeOf(object);
  return proto !== null && proto !== Object.prototype;
}

/** Never through a setter: `__proto__` is one. */
function define<T extends object>(target: T, entries: Entries): T {
  for (const [name, value] of entries) {
    Object.defineProperty(target, name, {
      value,
      writable: true,
      enumerable: true,
      configurable: true,
    });
  }
  return target;
}
