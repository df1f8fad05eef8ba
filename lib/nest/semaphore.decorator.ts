import { Inject, UseInterceptors } from '@nestjs/common';
import 'reflect-metadata';
import { checkedAt, isGenerator, requireObject } from '../option-rules.js';
import { InvalidOptionsError } from '../semaphore.errors.js';
import { SemaphoreService } from '../semaphore.service.js';
import type { KeyByArgs, MethodDecoratorByArgs } from './by-args.js';
import {
  copyMetadata,
  declaresObservable,
  isAsyncGenerator,
  isMethod,
  type Method,
  methodName,
  ON_A_METHOD,
  requireName,
  requireParentheses,
  standIn,
} from './decorated-method.js';
import { invoke, type ReturnKind } from './guarded-method.js';
import {
  createDefinition,
  definitionOf,
  SEMAPHORE_SERVICE,
  type SemaphoreDecoratorOptions,
  setDefinition,
} from './semaphore.definition.js';
import { SemaphoreInterceptor } from './semaphore.interceptor.js';

/**
 * Lets a method run only under a permit, acquired once for each call and held until its work is over: its promise
 * settled, its Observable finished, its stream closed. On a controller, resolver or gateway class it covers every handler;
 * options of a handler's own decorator come before those of its class.
 *
 * A decorated provider method returns a promise. One whose declared return type is Observable (as `emitDecoratorMetadata`
 * tells it, which `import type` prevents), and an async generator, return what they did, and acquire when they are read. A
 * generator is refused.
 *
 * For example `@Semaphore({ permits: 3 })`, or a limit for each tenant:
 * `@Semaphore({ permits: 3, key: (context) => context.switchToHttp().getRequest().tenant })`.
 * @throws {InvalidOptionsError} at decoration time
 */
export function Semaphore<Args extends unknown[]>(
  options: SemaphoreDecoratorOptions & { key: KeyByArgs<Args> },
): ClassDecorator & MethodDecoratorByArgs<Args>;
export function Semaphore(options?: SemaphoreDecoratorOptions): ClassDecorator & MethodDecorator;
export function Semaphore(
  options: SemaphoreDecoratorOptions = {},
): ClassDecorator & MethodDecorator {
  requireParentheses('@Semaphore', options);
  return (target: object, property?: string | symbol, descriptor?: PropertyDescriptor): void => {
    requireName('@Semaphore', property);
    if (property === undefined) {
      decorateClass(target as NewableFunction, options);
    } else {
      checkedOn(target, property, () => refuseSecondKey(descriptor?.value, options));
      decorateMethod(target, property, descriptor, options);
    }
  };
}

/** Two decorators of a method are one semaphore. Whoever gives two keys means two, and would have lost a limit. */
function refuseSecondKey(decorated: unknown, given: SemaphoreDecoratorOptions): void {
  const before = isMethod(decorated) ? definitionOf(decorated)?.given.key : undefined;
  if (before === undefined) return;
  requireObject(given);
  if ((given.key ?? before) === before) return;
  throw new InvalidOptionsError(
    'key',
    given.key,
    'given to one decorator of a method only: a second limit belongs to a method that this one calls, or into withPermit()',
  );
}

function checkedOn<T>(prototype: object, property: string | symbol, check: () => T): T {
  return checkedAt(`@Semaphore() on ${methodName(prototype, property)}`, check);
}

function decorateMethod(
  prototype: object,
  property: string | symbol,
  descriptor: PropertyDescriptor | undefined,
  given: SemaphoreDecoratorOptions,
): void {
  const decorated: unknown = descriptor?.value;
  if (typeof prototype === 'function' || !isMethod(decorated) || descriptor === undefined) {
    throw new InvalidOptionsError(
      '@Semaphore()',
      methodName(prototype, property),
      `on a class, or ${ON_A_METHOD}`,
    );
  }
  if (isGenerator(decorated)) {
    throw new InvalidOptionsError(
      '@Semaphore()',
      methodName(prototype, property),
      'on a method that can wait for its permit: an async generator, instead of a generator',
    );
  }
  const before = definitionOf(decorated);
  // Another decorator's wrapper, with our metadata, around a method that acquires in there.
  if (before !== undefined && before.guarded !== decorated) return;
  const method = before?.method ?? decorated;
  const kind = returnKindOf(prototype, property, method);
  const guarded = standIn(method, (instance, args) => invoke({ definition, instance, args }, kind));
  const definition = checkedOn(prototype, property, () => {
    requireObject(given);
    const name = methodName(prototype, property);
    return createDefinition(name, method, guarded, { ...given, ...before?.given });
  });
  copyMetadata(decorated, guarded);
  setDefinition(guarded, definition);
  descriptor.value = guarded;
  if (before === undefined) UseInterceptors(SemaphoreInterceptor)(prototype, property, descriptor);
  Inject(SemaphoreService)(prototype, SEMAPHORE_SERVICE);
}

function decorateClass(target: NewableFunction, options: SemaphoreDecoratorOptions): void {
  const prototype = target.prototype as object;
  const handlers = handlersOf(prototype);
  if (handlers.size === 0) {
    const rule = 'on a class with handlers, or on the methods of one that has none';
    throw new InvalidOptionsError('@Semaphore()', target.name, rule);
  }
  for (const [property, descriptor] of handlers) {
    decorateMethod(prototype, property, descriptor, options);
    Object.defineProperty(prototype, property, descriptor);
  }
}

/** Methods that some decorator left its mark on, own and inherited: routes, message handlers, resolvers, jobs. */
function handlersOf(prototype: object): Map<string, PropertyDescriptor> {
  const methods = new Map<string, PropertyDescriptor>();
  let level: object | null = prototype;
  while (level !== null && level !== Object.prototype) {
    for (const property of Object.getOwnPropertyNames(level)) {
      const descriptor = Object.getOwnPropertyDescriptor(level, property);
      if (property === 'constructor' || descriptor === undefined || methods.has(property)) continue;
      methods.set(property, descriptor);
    }
    level = Object.getPrototypeOf(level) as object | null;
  }
  for (const [property, { value }] of methods) {
    if (!isMethod(value) || Reflect.getMetadataKeys(value).length === 0) methods.delete(property);
  }
  return methods;
}

/** What the method returns, as far as is known without calling it: that is needed before there is a permit. */
function returnKindOf(prototype: object, property: string | symbol, method: Method): ReturnKind {
  if (isAsyncGenerator(method)) return 'async-generator';
  return declaresObservable(prototype, property) ? 'observable' : 'promise';
}
