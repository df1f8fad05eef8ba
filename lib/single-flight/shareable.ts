import { isBytes, isDense, isError, isPlainObject } from './plain-values.js';

/** A value of which another process could not have an equal one. */
class NotShareableError extends TypeError {
  override readonly name = 'NotShareableError';
}

/**
 * @param around what the value is a part of, and so must not contain
 * @throws {NotShareableError} which part of the value cannot go to another process, and why
 */
export function requireShareable(value: unknown, around: Iterable<object> = []): void {
  visit(value, 'result', new Set(around), new WeakSet());
}

/** They travel as what they stand for, without fields that somebody gave them. */
const BUILT_IN = [Map, Set, Date, RegExp, URL];

const JSON_DEPTH = 32;

/** Whether JSON alone gives the value back as it is. Deeper than {@link JSON_DEPTH}, or cyclic: says no. */
export function isJson(value: unknown, depth = 0): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true;
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0);
    case 'object':
      return value === null || (depth < JSON_DEPTH && isJsonObject(value, depth + 1));
    default:
      return false;
  }
}

function isJsonObject(value: object, depth: number): boolean {
  const proto: unknown = Object.getPrototypeOf(value);
  if (proto === Array.prototype) {
    return Array.isArray(value) && isDense(value) && value.every((item) => isJson(item, depth));
  }
  if (proto !== Object.prototype || Object.getOwnPropertySymbols(value).length > 0) return false;
  for (const name of Object.keys(value)) {
    if (name === '__proto__' || !isJson((value as Record<string, unknown>)[name], depth)) {
      return false;
    }
  }
  return true;
}

/** Whether {@link requireShareable} lets the value pass. */
export function isShareable(value: unknown, around?: Iterable<object>): boolean {
  try {
    requireShareable(value, around);
    return true;
  } catch {
    return false;
  }
}

function visit(value: unknown, path: string, parents: Set<object>, done: WeakSet<object>): void {
  if (typeof value === 'function' || typeof value === 'symbol') {
    throw new NotShareableError(`${path} is a ${typeof value}`);
  }
  if (typeof value !== 'object' || value === null || done.has(value)) return;
  if (parents.has(value)) throw new NotShareableError(`${path} contains itself`);
  parents.add(value);
  for (const [name, part] of partsOf(value, path)) visit(part, path + name, parents, done);
  parents.delete(value);
  done.add(value);
}

/** The members of a value, by name. @throws {NotShareableError} */
function partsOf(value: object, path: string): Iterable<[name: string, part: unknown]> {
  const proto = Object.getPrototypeOf(value) as { constructor?: { name?: string } } | null;
  const name = proto?.constructor?.name ?? '';
  // Errors carry what can be carried of them.
  if (isError(value) || isBytes(value)) return [];
  // What is of another realm, such as a sandbox, the serializer takes for something else.
  if (BUILT_IN.some((type) => value instanceof type && name === type.name)) {
    requireNoFields(value, path);
    return membersOf(value);
  }
  if (Array.isArray(value) && name === 'Array') return named(value, (key) => `[${key}]`);
  if (isPlainObject(value) && Object.getOwnPropertySymbols(value).length > 0) {
    throw new NotShareableError(`${path} has a property named by a symbol`);
  }
  if (isPlainObject(value)) return named(value, (key) => `.${key}`);
  throw new NotShareableError(`${path} is an instance of ${name || 'a class'}: return plain data`);
}

function membersOf(value: object): [string, unknown][] {
  if (value instanceof Map) {
    return [...value].flatMap(([key, item]): [string, unknown][] => [
      ['<key>', key],
      ['<value>', item],
    ]);
  }
  if (value instanceof Set) {
    return Array.from(value, (member): [string, unknown] => ['<member>', member]);
  }
  return [];
}

function requireNoFields(value: object, path: string): void {
  const [field] = Object.keys(value);
  if (field === undefined) return;
  throw new NotShareableError(`${path} has a field of its own, ${JSON.stringify(field)}`);
}

function named(value: object, toName: (key: string) => string): [string, unknown][] {
  return Object.entries(value).map(([key, part]) => [toName(key), part]);
}
