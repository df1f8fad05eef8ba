import {
  type CallHandler,
  type ExecutionContext,
  Inject,
  Injectable,
  type NestInterceptor,
} from '@nestjs/common';
import { catchError, defer, from, mergeMap, Observable, type Subscriber, throwError } from 'rxjs';
import type { Permit } from '../core/permit.js';
import { PermitLostError } from '../semaphore.errors.js';
import { SemaphoreService } from '../semaphore.service.js';
import { findInternals, internalsOf } from '../service-internals.js';
import { acquireFor } from './admit.js';
import { KeyByArgs } from './by-args.js';
import { takeGuardPermit } from './guard-permits.js';
import { currentCall, HandlerCall } from './handler-call.js';
import { handleInScope } from './handler-scope.js';
import { requireService } from './injected-service.js';
import {
  definitionOf,
  keyOf,
  SEMAPHORE_SERVICE,
  type SemaphoreDefinition,
} from './semaphore.definition.js';
import { hasOwnErrorClass, toTransportError } from './transport-error.js';

/**
 * Runs decorated handlers under their permit. `@Semaphore()` binds it; bound globally as well it acquires no second time.
 * Every handler that it is bound to runs in a scope, for `SemaphoreService.use`: until its work and its response are over.
 */
@Injectable()
export class SemaphoreInterceptor implements NestInterceptor {
  @Inject(SemaphoreService)
  private readonly [SEMAPHORE_SERVICE]: SemaphoreService | undefined;

  /**
   * @param semaphores injected by Nest; also into subclasses that leave it out
   * @throws {InvalidOptionsError} made by hand without it
   */
  constructor(@Inject(SEMAPHORE_SERVICE) semaphores?: SemaphoreService) {
    this[SEMAPHORE_SERVICE] = semaphores;
    if (new.target === SemaphoreInterceptor) requireService(semaphores, SemaphoreInterceptor);
  }

  /** Called by Nest. */
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const definition = definitionOf(context.getHandler());
    if (definition === undefined) return this.handleUndecorated(context, next);
    // Everything begins with the subscription: without one nobody would ever give the permit back.
    const guarded = new Observable<unknown>((subscriber) => {
      const before = currentCall();
      const run = (): void => this.run(context, definition, next, subscriber);
      if (before?.context !== context) return run();
      // Bound a second time; or, when that call is over, an interceptor around this one tries again.
      if (!before.isOver) return next.handle().subscribe(subscriber);
      before
        .end()
        .then(run)
        .catch((error: unknown) => subscriber.error(error));
    });
    if (!hasOwnErrorClass(context)) return guarded;
    return guarded.pipe(
      catchError((error: unknown) =>
        from(toTransportError(error, context)).pipe(mergeMap((own) => throwError(() => own))),
      ),
    );
  }

  /** The scope is opened here, unless `semaphoreMiddleware` has, or this interceptor, bound a second time. */
  private handleUndecorated(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const internals = findInternals(this[SEMAPHORE_SERVICE]);
    if (internals === undefined) return next.handle();
    // Not before the subscription: when an interceptor around this one tries again, the scope before is about to end.
    return defer(() =>
      internals.context.scope?.isOver === false
        ? next.handle()
        : handleInScope(() => internals.openScope(), context, next),
    );
  }

  /** Runs the handler under its permit. What this throws is the subscriber's error. */
  private run(
    context: ExecutionContext,
    definition: SemaphoreDefinition,
    next: CallHandler,
    subscriber: Subscriber<unknown>,
  ): void {
    const service = requireService(this[SEMAPHORE_SERVICE], this.constructor);
    const call = new HandlerCall(context, definition, internalsOf(service).openScope(), subscriber);
    if (definition.key instanceof KeyByArgs) return call.proceed(next);
    const admitted = (permit: Permit | undefined): void => {
      if (permit === undefined) {
        subscriber.next(undefined);
        subscriber.complete();
      } else {
        call.admitted(permit);
        call.proceed(next);
      }
    };
    const taken = takeGuardPermit(context, definition);
    if (taken !== undefined) return admitted(stillHeld(taken.permit));
    const key = keyOf(definition, context, []);
    acquireFor(service, definition, key, call.signal).then(admitted, (error: unknown) =>
      subscriber.error(error),
    );
  }
}

/**
 * Nobody begins to work under a permit that was lost while later guards worked.
 * @throws {PermitLostError}
 */
function stillHeld(permit: Permit | undefined): Permit | undefined {
  if (permit === undefined || permit.isHeld) return permit;
  const { signal } = permit;
  // Of several keys the others.
  void permit.release();
  signal.throwIfAborted();
  throw new PermitLostError(permit.key, permit.id, 'released');
}
