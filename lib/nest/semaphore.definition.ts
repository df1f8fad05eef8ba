import type { ExecutionContext } from '@nestjs/common';
import 'reflect-metadata';
import { oneOf, type Rule } from '../option-rules.js';
import { isKey, KEY_RULE, validateKey, validateOptions } from '../resolve-options.js';
import { InvalidOptionsError } from '../semaphore.errors.js';
import type { SemaphoreDefaults } from '../semaphore.options.js';
import { KeyByArgs } from './by-args.js';
import { type Method, OF_MODULE } from './decorated-method.js';

/** Options of `@Semaphore()`. */
export interface SemaphoreDecoratorOptions extends SemaphoreDefaults {
  /**
   * The semaphore's key, or how to get it from the request. Provider methods take it from their arguments: `byArgs()`.
   * @default 'ClassName.methodName', of the class that was decorated
   */
  key?:
    string | ((context: ExecutionContext) => string | readonly string[]) | KeyByArgs | undefined;
  /**
   * When no permit can be had: 'throw' PermitUnavailableError, or SemaphoreClosedError while the application shuts down;
   * or 'skip': the method returns undefined instead. When the store cannot be reached `onStoreFailure` decides.
   * @default 'throw'
   */
  onUnavailable?: 'throw' | 'skip' | undefined;
}

/** What `@Semaphore()` knows of a method. One object for one decorated method: its identity tells methods apart. */
export interface SemaphoreDefinition {
  /** `ClassName.methodName` */
  readonly name: string;
  /** The method as it was written. */
  readonly method: Method;
  /** What stands in its place. */
  readonly guarded: Method;
  readonly given: SemaphoreDecoratorOptions;
  readonly key: NonNullable<SemaphoreDecoratorOptions['key']>;
  readonly options: SemaphoreDefaults;
  readonly skip: boolean;
}

/** Where Nest puts the service in instances of decorated classes. */
export const SEMAPHORE_SERVICE = Symbol(`SemaphoreService, ${OF_MODULE}`);

const DEFINITION = Symbol('nestjs-semaphore:definition');

export function definitionOf(method: object): SemaphoreDefinition | undefined {
  return Reflect.getMetadata(DEFINITION, method) as SemaphoreDefinition | undefined;
}

export function setDefinition(method: object, definition: SemaphoreDefinition): void {
  Reflect.defineMetadata(DEFINITION, definition, method);
}

const OWN_RULES: Record<Exclude<keyof SemaphoreDecoratorOptions, keyof SemaphoreDefaults>, Rule> = {
  key: {
    text: 'a string, a function of the context, or byArgs(…)',
    holds: (value) =>
      typeof value === 'string' || typeof value === 'function' || value instanceof KeyByArgs,
  },
  onUnavailable: oneOf('throw', 'skip'),
};

/** @throws {InvalidOptionsError} */
export function createDefinition(
  name: string,
  method: Method,
  guarded: Method,
  given: SemaphoreDecoratorOptions,
): SemaphoreDefinition {
  validateOptions(given, OWN_RULES);
  const { key = name, onUnavailable = 'throw', ...options } = given;
  if (typeof key === 'string') validateKey(key);
  const named = Object.freeze({ name: typeof key === 'string' ? key : name, ...options });
  return { name, method, guarded, given, key, options: named, skip: onUnavailable === 'skip' };
}

/**
 * The key of one call.
 * @throws {InvalidOptionsError} when it depends on a request and there is none
 */
export function keyOf(
  definition: SemaphoreDefinition,
  context: ExecutionContext | undefined,
  args: unknown[],
): string | readonly string[] {
  const { key } = definition;
  if (typeof key === 'string') return key;
  if (key instanceof KeyByArgs) return checked(definition, key.of(...(args as never)));
  if (context !== undefined) return checked(definition, key(context));
  throw new InvalidOptionsError(
    'key',
    key,
    `a string or byArgs(…) on ${definition.name}: it was called outside of a request, or by a decorator above it that drops its metadata, where there is no ExecutionContext`,
  );
}

function checked({ name }: SemaphoreDefinition, key: unknown): string | readonly string[] {
  const keys: unknown[] = Array.isArray(key) ? key : [key];
  if (keys.length > 0 && keys.every(isKey)) return key as string | readonly string[];
  throw new InvalidOptionsError(
    'key',
    keys.length > 0 ? keys.find((one) => !isKey(one)) : key,
    `${KEY_RULE}, or several such, as the key function of ${name}, which cannot be async, should return`,
  );
}
