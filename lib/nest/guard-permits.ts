import type { ExecutionContext } from '@nestjs/common';
import type { Permit } from '../core/permit.js';
import { onceSentOrClosed, type ResponseStream } from './http-response.js';
import type { SemaphoreDefinition } from './semaphore.definition.js';

/** What SemaphoreGuard got for a request, until SemaphoreInterceptor takes it over. */
interface GuardPermit {
  readonly definition: SemaphoreDefinition;
  /** Undefined when the handler is to be skipped. */
  readonly permit: Permit | undefined;
  stopWatching: () => void;
}

const permits = new WeakMap<object, GuardPermit>();

export function keepGuardPermit(
  context: ExecutionContext,
  definition: SemaphoreDefinition,
  permit: Permit | undefined,
  response: ResponseStream,
): void {
  const request = identity(context);
  const kept: GuardPermit = { definition, permit, stopWatching: () => undefined };
  permits.set(request, kept);
  // Maybe at once: the client may be gone already.
  kept.stopWatching = onceSentOrClosed(response, () => {
    permits.delete(request);
    void permit?.release();
  });
}

export function hasGuardPermit(
  context: ExecutionContext,
  definition: SemaphoreDefinition,
): boolean {
  return permits.get(identity(context))?.definition === definition;
}

export function takeGuardPermit(
  context: ExecutionContext,
  definition: SemaphoreDefinition,
): Pick<GuardPermit, 'permit'> | undefined {
  const request = identity(context);
  const kept = permits.get(request);
  if (kept?.definition !== definition) return undefined;
  permits.delete(request);
  kept.stopWatching();
  return kept;
}

/** What guard and interceptor of one call have in common: Nest gives each a context of its own. */
function identity(context: ExecutionContext): object {
  return context.getType() === 'http'
    ? context.switchToHttp().getRequest<object>()
    : context.getArgs();
}
