import 'reflect-metadata';
import { Observable } from 'rxjs';
import { isObject } from '../option-rules.js';
import { InvalidOptionsError } from '../semaphore.errors.js';

export type Method = (this: unknown, ...args: unknown[]) => unknown;

/** What a method is called in errors, and in keys that are made of it; without a `property` what its class is called. */
export function methodName(owner: object, property?: string | symbol): string {
  const { name } = typeof owner === 'function' ? owner : owner.constructor;
  return property === undefined ? name : `${name}.${String(property)}`;
}

/** Where decorators of methods may stand. */
export const ON_A_METHOD =
  'on a method, and neither on a static one nor on a property that holds a function';

/**
 * Of a decorator that was given not its options but what it stands on: a class, or the prototype of one.
 * @throws {InvalidOptionsError}
 */
export function requireParentheses(decorator: string, options: object): void {
  const isTarget = ['prototype', 'constructor'].some((name) => Object.hasOwn(options ?? {}, name));
  if (!isTarget) return;
  throw new InvalidOptionsError(decorator, methodName(options), `written as ${decorator}()`);
}

/**
 * Of a decorator that is called as ECMAScript has it, with a context instead of a name. Nest knows none of these.
 * @throws {InvalidOptionsError}
 */
export function requireName(
  decorator: string,
  property: string | symbol | object | undefined,
): void {
  if (!isObject(property)) return;
  const { name } = property as { name?: unknown };
  const rule = 'compiled with `"experimentalDecorators": true`, as all decorators of Nest';
  throw new InvalidOptionsError(`${decorator}()`, String(name), rule);
}

export function isMethod(value: unknown): value is Method {
  return typeof value === 'function';
}

/**
 * What stands in for a decorated method: called instead of it, and the same in everything else that it is asked for, such as
 * name, length and metadata.
 */
export function standIn(
  method: Method,
  call: (instance: unknown, args: unknown[]) => unknown,
): Method {
  return new Proxy(method, {
    apply: (_method, instance: unknown, args: unknown[]) => call(instance, args),
  });
}

/** Copies what other decorators noted on a method to the one that replaces it. */
export function copyMetadata(from: Method, to: Method): void {
  for (const key of Reflect.getMetadataKeys(from) as (string | symbol)[]) {
    Reflect.defineMetadata(key, Reflect.getMetadata(key, from), to);
  }
}

export function isAsyncGenerator(method: Method): boolean {
  return Object.prototype.toString.call(method) === '[object AsyncGeneratorFunction]';
}

/** Whether the method says that it returns an Observable. */
export function declaresObservable(prototype: object, property: string | symbol): boolean {
  return Reflect.getMetadata('design:returntype', prototype, property) === Observable;
}

/** Whether the method says that it has no parameters. Nest may call a handler with the connection and the message all the same. */
export function declaresNoParameters(prototype: object, property: string | symbol): boolean {
  const types: unknown = Reflect.getMetadata('design:paramtypes', prototype, property);
  return Array.isArray(types) && types.length === 0;
}

/** Of the symbols for what Nest puts into instances: Nest's own message shows it when it cannot. */
export const OF_MODULE =
  'provided by SemaphoreModule: add SemaphoreModule.forRoot() to the imports of your AppModule. If it is there, ' +
  'its `isGlobal` is false, or a second copy of nestjs-semaphore is installed (npm ls nestjs-semaphore)';

/** What Nest puts into the instances of classes with methods of a decorator. */
export interface Injection {
  readonly property: symbol;
  readonly decorator: string;
  readonly service: string;
}

/**
 * What Nest put into the instance.
 * @param method its name, for the error
 * @throws {InvalidOptionsError} Nest did not make it
 */
export function injectedInto<T>(instance: unknown, injection: Injection, method: string): T {
  const { property, decorator, service } = injection;
  const injected = isObject(instance)
    ? (instance as Record<symbol, T | undefined>)[property]
    : undefined;
  if (injected !== undefined) return injected;
  throw new InvalidOptionsError(
    'this',
    instance,
    `an instance that Nest made of its class: ${method} is decorated with ${decorator}, ` +
      `and an object made by \`new\` or by \`useFactory\` has no ${service} of SemaphoreModule, ` +
      'nor has one of Nest within its constructor: onModuleInit() is early enough',
  );
}
