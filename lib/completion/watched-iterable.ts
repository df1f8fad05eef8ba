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

/** What ends it before it returns. */
const ENDINGS_AT_ONCE: ReadonlySet<Name> = new Set<Name>(['closeSync', Symbol.dispose]);

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
      const member: unknown = Reflect.get(source, name);
      if (typeof member !== 'function') return member;
      const call: Call = (...args) => enter(() => Reflect.apply(member, source, args) as unknown);
      if (name === Symbol.asyncIterator) return () => watchSteps(call, over, enter);
      if (STEPS.has(name)) return (value: unknown) => watchStep(() => call(value), over);
      if (ENDINGS_AT_ONCE.has(name)) return () => watchEnd(call, over);
      return (...args: unknown[]) => {
        const given = name === 'close' ? args.map((arg) => watchCallback(arg, over)) : args;
        const result = call(...given);
        if (ENDINGS.has(name)) callWhenSettled(result, over);
        else if (isRead(source, name, result)) callAfterLast(result, over);
        return result === source ? watched : result;
      };
    },
    // The setter of a class may need the private fields of the object itself.
    set: (_target, name, value) => Reflect.set(source, name, value),
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
function watchSteps(
  iterate: () => unknown,
  over: () => unknown,
  enter: Enter,
): AsyncIterator<unknown> {
  const iterator = begin(iterate, over) as AsyncIterator<unknown>;
  const step = (take: () => unknown): Promise<IteratorResult<unknown>> =>
    watchStep(() => enter(take), over);
  const watched = {
    next: (value?: unknown) => step(() => iterator.next(value)),
    return: (value?: unknown) => step(() => iterator.return?.(value) ?? { done: true, value }),
    throw: (error?: unknown) => step(() => iterator.throw?.(error) ?? Promise.reject(error)),
    [Symbol.asyncIterator]: () => watched,
  };
  return watched;
}

function begin(iterate: () => unknown, over: () => unknown): unknown {
  try {
    return iterate();
  } catch (error) {
    void over();
    throw error;
  }
}

async function watchStep(
  step: () => unknown,
  over: () => unknown,
): Promise<IteratorResult<unknown>> {
  try {
    const result = (await step()) as IteratorResult<unknown>;
    // The `next` of some cursors gives what it read, or null.
    if (result?.done === true) await over();
    return result;
  } catch (error) {
    await over();
    throw error;
  }
}

function watchEnd(end: () => unknown, over: () => unknown): unknown {
  try {
    return end();
  } finally {
    void over();
  }
}

function watchCallback(callback: unknown, over: () => unknown): unknown {
  if (typeof callback !== 'function') return callback;
  return (...results: unknown[]): unknown => {
    void over();
    return Reflect.apply(callback, undefined, results);
  };
}

/** The way of a directory: whoever reads it until there is nothing left may never close it. */
function isRead(source: object, name: Name, result: unknown): boolean {
  const isTold = name === 'readSync' || (name === 'read' && isPromise(result));
  return isTold && hasMethods(source, name, 'close');
}

function callAfterLast(result: unknown, over: () => unknown): void {
  const check = (entry: unknown): void => {
    if (entry === null) over();
  };
  if (isPromise(result)) result.then(check, () => undefined);
  else check(result);
}

/** Calls `over` when a promise has settled. Of anything else nobody knows how long it goes on. */
function callWhenSettled(result: unknown, over: () => unknown): void {
  if (isPromise(result)) result.then(over, over);
}

function isEmitter(value: object): value is EventEmitter {
  return hasMethods(value, 'emit', 'once');
}
