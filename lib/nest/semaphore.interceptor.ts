import {
  type CallHandler,
  type ExecutionContext,
  Inject,
  Injectable,
  type NestInterceptor,
} from '@nestjs/common';
import { catchError, from, mergeMap, Observable, type Subscriber, throwError } from 'rxjs';
import type { Permit } from '../core/permit.js';
import { SemaphoreService } from '../semaphore.service.js';
import { admit } from './admit.js';
import { KeyByArgs } from './by-args.js';
import { takeGuardPermit } from './guard-permits.js';
import { currentCall, HandlerCall } from './handler-call.js';
import {
  definitionOf,
  keyOf,
  SEMAPHORE_SERVICE,
  type SemaphoreDefinition,
} from './semaphore.definition.js';
import { hasOwnErrorClass, toTransportError } from './transport-error.js';

/**
 * Runs decorated handlers under their permit. `@Semaphore()` binds it; bound globally as well it changes nothing for
 * other handlers, and acquires no second time.
 */
@Injectable()
export class SemaphoreInterceptor implements NestInterceptor {
  @Inject(SemaphoreService)
  private readonly [SEMAPHORE_SERVICE]!: SemaphoreService;

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const definition = definitionOf(context.getHandler());
    if (definition === undefined || currentCall()?.context === context) return next.handle();
    // Everything begins with the subscription: without one nobody would ever give the permit back.
    const guarded = new Observable<unknown>((subscriber) => {
      const call = new HandlerCall(context, this[SEMAPHORE_SERVICE].openScope());
      subscriber.add(() => call.abandon());
      this.run(call, definition, next, subscriber).catch((error: unknown) => {
        subscriber.error(error);
      });
    });
    if (!hasOwnErrorClass(context)) return guarded;
    return guarded.pipe(
      catchError((error: unknown) =>
        from(toTransportError(error, context)).pipe(mergeMap((own) => throwError(() => own))),
      ),
    );
  }

  private async run(
    call: HandlerCall,
    definition: SemaphoreDefinition,
    next: CallHandler,
    subscriber: Subscriber<unknown>,
  ): Promise<void> {
    const work = (permit?: Permit): Promise<true> => {
      if (permit !== undefined) call.admitted(permit);
      call.subscribe(next, subscriber);
      return call.over.then(() => true);
    };
    if (definition.key instanceof KeyByArgs) return void (await work());
    const service = this[SEMAPHORE_SERVICE];
    const taken = takeGuardPermit(call.context, definition);
    let ran: true | undefined;
    if (taken === undefined) {
      const key = keyOf(definition, call.context, []);
      ran = await admit(service, definition, key, work, call.signal);
    } else if (taken.permit !== undefined) {
      ran = await service.runUnder(taken.permit, work);
    }
    if (ran === true) return;
    subscriber.next(undefined);
    subscriber.complete();
  }
}
