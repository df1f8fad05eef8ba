import { types } from 'node:util';
import { InvalidOptionsError } from '../semaphore.errors.js';
import { bytesOf, isBytes, isDense, isPlainObject } from './plain-values.js';

/** Deeper is taken for a mistake: the call would be keyed by half of the application. */
const MAX_DEPTH = 100;

/**
 * The key of a call with these arguments; without any it is the plain name.
 * @throws {InvalidOptionsError} as {@link argumentKey}
 */
export function callKey(name: string, args: readonly unknown[]): string {
  try {
    return args.length === 0 ? name : `${name}(${argumentKey(args)})`;
  } catch (error) {
    throw error instanceof InvalidOptionsError ? error.of(name, 'Single flight') : error;
  }
}

/**
 * A text for a list of arguments: the same for equal ones, whatever the order of their properties, of their Maps' entries and
 * of their Sets' members, and another for any others: 1 is not '1', and undefined is not a missing property.
 * @throws {InvalidOptionsError} naming what cannot be compared: functions, symbols, instances of classes, cycles
 */
export function argumentKey(args: readonly unknown[]): string {
  return args.map((arg, i) => keyOf(arg, { path: `arguments[${i}]`, parents: [] })).join(',');
}

interface Place {
  path: string;
  parents: readonly object[];
}

function keyOf(value: unknown, at: Place): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value);
    case 'number':
      return Object.is(value, -0) ? '-0' : String(value);
    case 'bigint':
      return `${value}n`;
    case 'boolean':
    case 'undefined':
      return String(value);
    case 'object':
      return value === null ? 'null' : keyOfObject(value, at);
    default:
      throw refusal(value, at, `a ${typeof value} is not`);
  }
}

function keyOfObject(value: object, at: Place): string {
  if (at.parents.includes(value)) throw refusal(value, at, 'it contains itself, which is not');
  if (at.parents.length >= MAX_DEPTH) {
    throw refusal(value, at, `it is nested more than ${MAX_DEPTH} deep, which is not`);
  }
  const inside = (name: string): Place => ({
    path: at.path + name,
    parents: [...at.parents, value],
  });
  const proto = Object.getPrototypeOf(value) as { constructor?: { name?: string } } | null;
  const name = proto?.constructor?.name ?? '';
  if (Array.isArray(value) && name === 'Array') return keyOfArray(value, inside);
  if (isBytes(value)) return `${name}(${bytesOf(value).toString('base64')})`;
  if (isPlainObject(value)) return `{${keyOfProperties(value, inside).join(',')}}`;
  const key = keyOfBuiltIn(value, name, inside);
  if (key === undefined) throw refusal(value, at, `an instance of ${name || 'a class'} is not`);
  const [field] = Object.keys(value);
  if (field !== undefined) throw refusal(value, inside(`.${field}`), `a field of a ${name} is not`);
  return key;
}

function keyOfBuiltIn(
  value: object,
  name: string,
  inside: (name: string) => Place,
): string | undefined {
  if (types.isDate(value) && name === 'Date') return `Date(${value.getTime()})`;
  if (types.isMap(value) && name === 'Map') {
    const entries = [...value].map(
      ([key, item]) => `${keyOf(key, inside('<key>'))}=>${keyOf(item, inside('<value>'))}`,
    );
    return `Map{${entries.sort().join(',')}}`;
  }
  if (types.isSet(value) && name === 'Set') {
    const members = [...value].map((member) => keyOf(member, inside('<member>')));
    return `Set{${members.sort().join(',')}}`;
  }
  if (types.isRegExp(value) && name === 'RegExp') return `RegExp(${String(value)})`;
  if (value instanceof URL && name === 'URL') return `URL(${JSON.stringify(value.href)})`;
  return undefined;
}

/** Holes are left out, and so is not what is undefined. */
function keyOfArray(value: readonly unknown[], inside: (name: string) => Place): string {
  if (isDense(value)) return `[${value.map((item, i) => keyOf(item, inside(`[${i}]`))).join(',')}]`;
  return `Array(${value.length}){${keyOfProperties(value, inside).join(',')}}`;
}

function keyOfProperties(value: object, inside: (name: string) => Place): string[] {
  const [symbol] = Object.getOwnPropertySymbols(value);
  if (symbol !== undefined) throw refusal(value, inside(''), 'a property named by a symbol is not');
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, item]) => `${JSON.stringify(name)}:${keyOf(item, inside(`.${name}`))}`);
}

function refusal(value: unknown, { path }: Place, what: string): InvalidOptionsError {
  return new InvalidOptionsError(
    path,
    value,
    'a value that can be compared between processes, to key the call by its arguments ' +
      `(${what}; pass plain data, or give a key of your own)`,
  );
}
