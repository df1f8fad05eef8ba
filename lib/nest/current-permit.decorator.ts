import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Permit } from '../core/permit.js';
import { InvalidOptionsError } from '../semaphore.errors.js';
import { currentCall } from './handler-call.js';
import { definitionOf } from './semaphore.definition.js';

/**
 * The permit that the handler runs under, for its `signal` and its `fencingToken`.
 * @throws {InvalidOptionsError} when the handler is called: it has no `@Semaphore()`, or one with a key `byArgs`
 * @example
 * ```ts
 * create(@CurrentPermit() permit: Permit) {}
 * ```
 */
export const CurrentPermit: () => ParameterDecorator = createParamDecorator(
  (_data: unknown, context: ExecutionContext): Permit => {
    const handler = context.getHandler();
    const definition = definitionOf(handler);
    const call = currentCall();
    // Not the handlers: some packages call a bound copy, with its metadata.
    if (call?.permit !== undefined && definitionOf(call.context.getHandler()) === definition) {
      return call.permit;
    }
    throw new InvalidOptionsError(
      '@CurrentPermit()',
      `${context.getClass().name}.${handler.name}`,
      definition === undefined
        ? 'on a parameter of a handler with @Semaphore(), whose metadata no decorator above it drops'
        : 'on a parameter of a handler whose `key` is not made by byArgs(): that is known only after the parameters are',
    );
  },
);
