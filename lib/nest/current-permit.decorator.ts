import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Permit } from '../core/permit.js';
import { InvalidOptionsError } from '../semaphore.errors.js';
import { currentCall } from './handler-call.js';

/**
 * The permit that the handler runs under, for its `signal` and its `fencingToken`.
 * @example
 * ```ts
 * create(@CurrentPermit() permit: Permit) {}
 * ```
 */
export const CurrentPermit: () => ParameterDecorator = createParamDecorator(
  (_data: unknown, context: ExecutionContext): Permit => {
    const handler = context.getHandler();
    const call = currentCall();
    if (call?.permit !== undefined && call.context.getHandler() === handler) return call.permit;
    throw new InvalidOptionsError(
      '@CurrentPermit()',
      handler,
      'on a parameter of a handler with @Semaphore(), whose `key` is not made by byArgs(): ' +
        'that is known only after the parameters are',
    );
  },
);
