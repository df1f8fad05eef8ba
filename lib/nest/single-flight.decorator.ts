import { Inject } from '@nestjs/common';
import 'reflect-metadata';
import { isObservable } from 'rxjs';
import { checkedAt, isGenerator, isObject, type Rule } from '../option-rules.js';
import { InvalidOptionsError } from '../semaphore.errors.js';
import { callKey } from '../single-flight/argument-key.js';
import {
  type SingleFlightOptions,
  validateFlightOptions,
} from '../single-flight/single-flight.options.js';
import { SingleFlightService } from '../single-flight/single-flight.service.js';
import { KeyByArgs, type MethodDecoratorByArgs } from './by-args.js';
import {
  copyMetadata,
  declaresNoParameters,
  declaresObservable,
  injectedInto,
  isAsyncGenerator,
  isMethod,
  type Method,
  methodName,
  OF_MODULE,
  ON_A_METHOD,
  requireName,
  requireParentheses,
  standIn,
} from './decorated-method.js';

/** Options of `@SingleFlight()`. */
export interface SingleFlightDecoratorOptions extends SingleFlightOptions {
  /**
   * A string: what the method is called in the store; calls with other arguments are other flights. `byArgs(…)`: the whole
   * key of a call, from those of its arguments that matter.
   * @default 'ClassName.methodName', of the instance's own class: subclasses share no results
   */
  key?: string | KeyByArgs | undefined;
}

const INJECTION = {
  property: Symbol(`SingleFlightService, ${OF_MODULE}`),
  decorator: '@SingleFlight()',
  service: 'SingleFlightService',
};

const NO_STREAM = 'on a method that returns a value or a promise: streams cannot be shared';

const KEY: Rule = {
  text: 'a non-empty string, or byArgs(…)',
  holds: (value) => (typeof value === 'string' && value !== '') || value instanceof KeyByArgs,
};

const DECORATED = Symbol('nestjs-semaphore:single-flight');

/**
 * Of the calls of a method with equal arguments at the same time, over all processes, one runs; all get its result, or
 * its error. Works on methods of providers and on handlers, whose arguments are what their pipes made of the request.
 *
 * The decorated method returns a promise. What a call depends on besides its arguments, such as the user of a
 * request-scoped provider, must be part of the `key`: see `byArgs()`.
 *
 * For example `@SingleFlight({ ttlMs: 5000 })` on `rateOf(currency: string): Promise<number>`.
 * @throws {InvalidOptionsError} at decoration time
 */
export function SingleFlight<Args extends unknown[]>(
  options: SingleFlightDecoratorOptions & { key: KeyByArgs<Args> },
): MethodDecoratorByArgs<Args>;
export function SingleFlight(options?: SingleFlightDecoratorOptions): MethodDecorator;
export function SingleFlight(
  options: SingleFlightDecoratorOptions = {},
): MethodDecorator & PropertyDecorator {
  requireParentheses('@SingleFlight', options);
  return (target: object, property: string | symbol, descriptor?: PropertyDescriptor): void => {
    requireName('@SingleFlight', property);
    const method: unknown = descriptor?.value;
    const name = methodName(target, property);
    if (typeof target === 'function' || descriptor === undefined || !isMethod(method)) {
      throw misplaced(name, ON_A_METHOD);
    }
    if (Reflect.hasMetadata(DECORATED, method)) throw misplaced(name, 'there once');
    if (returnsStream(target, property, method)) {
      throw misplaced(name, NO_STREAM);
    }
    checkedAt(`@SingleFlight() on ${name}`, () => validateFlightOptions(options, KEY));
    const { key, ...rest } = options;
    const takesNothing = declaresNoParameters(target, property);
    const call = async (instance: unknown, args: unknown[]): Promise<unknown> => {
      const flights = injectedInto<SingleFlightService>(instance, INJECTION, name);
      const flightKey =
        key instanceof KeyByArgs
          ? keyFrom(key, args, name)
          : callKey(key ?? nameOf(instance, property, target), takesNothing ? [] : args);
      const work = (): unknown => {
        const result: unknown = Reflect.apply(method, instance, args);
        // Whoever subscribes does the work: all would.
        if (isObservable(result)) throw misplaced(name, NO_STREAM);
        return result;
      };
      return flights.run(flightKey, work, rest);
    };
    const decorated = standIn(method, call);
    copyMetadata(method, decorated);
    Reflect.defineMetadata(DECORATED, true, decorated);
    descriptor.value = decorated;
    Inject(SingleFlightService)(target, INJECTION.property);
  };
}

/** Where a method is inherited its results are not the same, and those of an overridden one are others again. */
function nameOf(instance: unknown, property: string | symbol, target: object): string {
  const name = methodName(instance as object, property);
  let owner: unknown = Object.getPrototypeOf(instance);
  while (isObject(owner) && !Object.hasOwn(owner, property)) owner = Object.getPrototypeOf(owner);
  return owner === target ? name : `${name} of ${target.constructor.name}`;
}

function returnsStream(prototype: object, property: string | symbol, method: Method): boolean {
  return isGenerator(method) || isAsyncGenerator(method) || declaresObservable(prototype, property);
}

function keyFrom(key: KeyByArgs, args: unknown[], name: string): string {
  const made: unknown = key.of(...(args as never));
  if (typeof made === 'string' && made !== '') return made;
  throw new InvalidOptionsError(
    'key',
    made,
    `a non-empty string, as byArgs(…) of ${name} should return`,
  );
}

function misplaced(name: string, rule: string): InvalidOptionsError {
  return new InvalidOptionsError('@SingleFlight()', name, rule);
}
