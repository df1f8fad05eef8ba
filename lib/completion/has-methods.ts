import { isObject } from '../option-rules.js';

/** Tells what an object is by what it can do: it may come from another copy of its library. */
export function hasMethods(value: unknown, first: string, second: string): boolean {
  return isObject(value) && isMethodOf(value, first) && isMethodOf(value, second);
}

function isMethodOf(value: object, name: string): boolean {
  return typeof (value as Record<string, unknown>)[name] === 'function';
}
