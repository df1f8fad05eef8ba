import type { ExecutionContext } from '@nestjs/common';
import type { Permit } from '../core/permit.js';
import { onceSentOrClosed, type ResponseStream } from './http-response.js';
import type { SemaphoreDefinition } from './semaphore.definition.js';

/** What SemaphoreGuard got for a request, until SemaphoreInterceptor takes it over. */
export class GuardPermit {
  private readonly stopWatching: () => void;

  /** @param permit undefined when the handler is to be skipped */
  constructor(
    readonly definition: SemaphoreDefinition,
    readonly permit: Permit | undefined,
    response: ResponseStream,
    onDropped: () => void,
  ) {
    this.stopWatching = onceSentOrClosed(response, () => {
      onDropped();
      void permit?.release();
    });
  }

  taken(): void {
    this.stopWatching();
  }
}

const permits = new WeakMap<object, GuardPermit>();

export function keepGuardPermit(
  context: ExecutionContext,
  definition: SemaphoreDefinition,
  permit: Permit | undefined,
  response: ResponseStream,
): void {
  const request = identity(context);
  let isDropped = false;
  const kept = new GuardPermit(definition, permit, response, () => {
    isDropped = true;
    permits.delete(request);
  });
  // The client may be gone already.
  if (!isDropped) permits.set(request, kept);
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
): GuardPermit | undefined {
  const request = identity(context);
  const kept = permits.get(request);
  if (kept?.definition !== definition) return undefined;
  permits.delete(request);
  kept.taken();
  return kept;
}

/** What guard and interceptor of one call have in common: Nest gives each a context of its own. */
function identity(context: ExecutionContext): object {
  return context.getType() === 'http'
    ? context.switchToHttp().getRequest<object>()
    : context.getArgs();
}
