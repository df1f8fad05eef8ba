import type { EventEmitter } from 'node:events';
import { isPromise } from 'node:util/types';
import { hasMethods } from './has-methods.js';

/** Runs a part of the work in the async context of the rest. */
export type Enter = <T>(task: () => T) => T;

type Name = string | symbol;
type Call = (...args: unknown[]) => unknown;

const STEPS: ReadonlySet<Name> = new Set(['next', 'return', 'throw']);

/** What else ends the reading of an iterable object, such as a database cursor, a directory, or lines. */
const ENDINGS: ReadonlySet<Name> = new Set<Name>([
  'close',
  'destroy',
  'forEach',
  'reduce',
  'toArray',
  Symbol.asyncDispose,
]);

/**
 * Calls `over` when the iterable was iterated over, or its reading has ended otherwise: by its 'close' event, or a method
 * that ends it. Everything else about the object stays as it is: it may be more than an iterable.
 */
export function watchIterable(
  source: AsyncIterable<unknown>,
  over: () => unknown,
  enter: Enter,
): AsyncIterable<unknown> {
  if (isEmitter(source)) source.once('close', () => void over());
  const watched = new Proxy(changeable(source), {
    get(_target, name) {
      const member: unknown = Reflect.get(source, name, source);
      if (typeof member !== 'function') return member;
      const call: Call = (...args) => enter(() => Reflect.apply(member, source, args) as unknown);
      if (name === Symbol.asyncIterator) return () => watchSteps(call(), over, enter);
      if (STEPS.has(name)) return (value: unknown) => watchStep(call(value), over);
      return (...args: unknown[]) => {
        const result = call(...args);
        if (ENDINGS.has(name)) callWhenSettled(result, over);
        return result === source ? watched : result;
      };
    },
  });
  return watched;
}

/** A Proxy must give what a fixed property has, and can give nothing in its place. */
function changeable(source: AsyncIterable<unknown>): AsyncIterable<unknown> {
  const isFixed = Reflect.ownKeys(source).some((name) => {
    const property = Reflect.getOwnPropertyDescriptor(source, name);
    return property?.configurable === false && property.writable !== true;
  });
  return isFixed ? (Object.create(source) as AsyncIterable<unknown>) : source;
}

/** `return` must reach the source while a `next` is pending, so this cannot be an async generator. */
function watchSteps(iterated: unknown, over: () => unknown, enter: Enter): AsyncIterator<unknown> {
  const iterator = iterated as AsyncIterator<unknown>;
  const watched = {
    next: (value?: unknown) =>
      watchStep(
        enter(() => iterator.next(value)),
        over,
      ),
    return: (value?: unknown) =>
      watchStep(enter(() => iterator.return?.(value)) ?? { done: true, value }, over),
    throw: (error?: unknown) =>
      watchStep(enter(() => iterator.throw?.(error)) ?? Promise.reject(error), over),
    [Symbol.asyncIterator]: () => watched,
  };
  return watched;
}

async function watchStep(step: unknown, over: () => unknown): Promise<IteratorResult<unknown>> {
  try {
    const result = (await step) as IteratorResult<unknown>;
    // The `next` of some cursors gives what it read, or null.
    if (result?.done === true) await over();
    return result;
  } catch (error) {
    await over();
    throw error;
  }
}

/** Not when it gives no promise: then nobody knows how long it goes on. */
function callWhenSettled(result: unknown, over: () => unknown): void {
  if (isPromise(result)) result.then(over, over);
}

function isEmitter(value: object): value is EventEmitter {
  return hasMethods(value, 'emit', 'once');
}
