import type { CallHandler, ExecutionContext } from '@nestjs/common';
import { Observable } from 'rxjs';
import { inMicrotask } from '../in-microtask.js';
import type { Scope } from '../core/scope.js';
import { CallParts } from './call-parts.js';
import { onceSentOrClosed, responseOf } from './http-response.js';
import { responseOfBody, whenResultOver } from './response-body.js';
import type { Enter } from '../completion/watched-iterable.js';

/**
 * Lets Nest run a handler without `@Semaphore()` in a scope. It ends with the handler's error, or when its result was
 * read; over HTTP with the response besides, which the handler may write itself. A handler that nobody waits for any more may go
 * on unseen: its scope is broken off.
 */
export function handleInScope(
  openScope: () => Scope,
  context: ExecutionContext,
  next: CallHandler,
): Observable<unknown> {
  return new Observable((subscriber) => {
    const scope = openScope();
    let isFinished = false;
    const parts = new CallParts(() => {
      // What the last part has just begun may still ask the scope for what it holds.
      inMicrotask(() => (isFinished ? scope.end() : scope.breakOff()));
    });
    subscriber.add(parts.begin());
    const isHttp = context.getType() === 'http';
    const enter: Enter = (task) => scope.run(task);
    const watched = (value: unknown): unknown =>
      whenResultOver(value, responseOfBody(value, context), parts.begin(), { enter });
    const handled = scope.run(() =>
      next.handle().subscribe({
        next: (value) => subscriber.next(watched(value)),
        error: (error: unknown) => {
          isFinished = true;
          subscriber.error(error);
        },
        complete: () => {
          isFinished = true;
          const response = isHttp ? responseOf(context) : undefined;
          if (response !== undefined) onceSentOrClosed(response, parts.begin());
          subscriber.complete();
        },
      }),
    );
    subscriber.add(handled);
  });
}
