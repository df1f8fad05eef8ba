import type { CallHandler, ExecutionContext } from '@nestjs/common';
import { AsyncLocalStorage } from 'node:async_hooks';
import { inMicrotask } from '../in-microtask.js';
import type { Subscriber } from 'rxjs';
import { CancelSource } from '../cancel/cancel-source.js';
import type { Permit } from '../core/permit.js';
import type { Scope } from '../core/scope.js';
import { WaitEnded } from '../semaphore.errors.js';
import type { CancelSignal } from '../cancel/cancel-signal.js';
import { CallParts } from './call-parts.js';
import { connectionOf, DISCONNECTED, onceSentOrClosed, responseOf } from './http-response.js';
import type { SemaphoreDefinition } from './semaphore.definition.js';
import { responseOfBody, whenResultOver } from './response-body.js';
import { unlessSoonOver } from './unless-soon-over.js';
import type { Enter } from '../completion/watched-iterable.js';
import { isBody, isThenable } from '../completion/when-over.js';

const calls = new AsyncLocalStorage<HandlerCall>();

// Made once: an error of its own for each call would cost more than the rest of the call.
const UNREAD = new WaitEnded('Nobody waits for the result any more.');

/** The handler call in whose async context this runs. */
export function currentCall(): HandlerCall | undefined {
  return calls.getStore();
}

/**
 * One call of a decorated handler, which its permit outlives by nothing. It has parts that end in any order: Nest's
 * subscription, the method's own work, the response. It is over when none of them is left; then its scope gives back the
 * permit.
 */
export class HandlerCall {
  /** Set as long as there is one; not yet when the key comes from the arguments. */
  permit: Permit | undefined;

  private readonly abandoned = new CancelSource();
  private stopWatching: () => void;
  private readonly parts = new CallParts(() => {
    // What the last part has just begun may still ask the scope for what it holds.
    inMicrotask(() => this.end());
  });
  private isRunning = false;

  /** @param subscriber Nest, which waits for the result */
  constructor(
    readonly context: ExecutionContext,
    private readonly definition: SemaphoreDefinition,
    private readonly scope: Scope,
    private readonly subscriber: Subscriber<unknown>,
  ) {
    this.stopWatching = unlessSoonOver(() => {
      const connection = connectionOf(context);
      if (connection === undefined) return;
      this.stopWatching = onceSentOrClosed(connection, () => this.abandoned.abort(DISCONNECTED));
    });
    // At once, when nobody listens any more.
    subscriber.add(() => {
      this.stopWatching();
      this.abandoned.abort(UNREAD);
    });
  }

  /** Aborted when nobody wants the result any more; by a disconnected client only while the request waits. */
  get signal(): CancelSignal {
    return this.abandoned;
  }

  /** Nothing begins any more: nobody waits for the result, and none of the parts is left. */
  get isOver(): boolean {
    return this.parts.isOver;
  }

  /** Gives back what a call that is over still holds. */
  end(): Promise<void> {
    return this.scope.end();
  }

  /** The permit is there: from now on a client that disconnects changes nothing. */
  admitted(permit: Permit): void {
    this.stopWatching();
    this.permit = permit;
    this.scope.adopt(permit);
  }

  /** Lets Nest run the rest of the handler's chain, and passes on what comes of it. */
  proceed(next: CallHandler): void {
    const { subscriber } = this;
    const done = this.parts.begin();
    // Whoever asked was gone when the permit came.
    if (subscriber.closed) return done();
    try {
      const subscription = this.enter(() =>
        next.handle().subscribe({
          next: (value) => {
            if (isBody(value)) this.awaitResponse();
            subscriber.next(value);
          },
          error: (error: unknown) => subscriber.error(error),
          complete: () => subscriber.complete(),
        }),
      );
      subscriber.add(() => {
        subscription.unsubscribe();
        done();
      });
    } catch (error) {
      done();
      subscriber.error(error);
    }
  }

  /**
   * Whether running the method now is what this call is about: false while it runs (the method calls itself), and
   * after it was over (something that the handler left behind calls it).
   */
  isFor(definition: SemaphoreDefinition): boolean {
    return !this.isOver && !this.isRunning && this.definition === definition;
  }

  /** Runs the method as a part of this call. */
  run(work: () => unknown, args: readonly unknown[]): unknown {
    const done = this.parts.begin();
    this.isRunning = true;
    const over = (): void => {
      this.isRunning = false;
      done();
    };
    if (this.sendsResponse(args)) this.awaitResponse();
    try {
      const result = work();
      if (!isThenable(result)) return this.track(result, over);
      return Promise.resolve(result).then(
        (value) => this.track(value, over),
        (error: unknown) => {
          over();
          throw error;
        },
      );
    } catch (error) {
      over();
      throw error;
    }
  }

  private track(value: unknown, over: () => void): unknown {
    const enter: Enter = (task) => this.enter(task);
    const response = responseOfBody(value, this.context);
    return whenResultOver(value, response, over, { unread: this.signal, enter });
  }

  /** A handler that was given `@Res()` or `@Next()` may go on writing after it has returned. */
  private sendsResponse(args: readonly unknown[]): boolean {
    if (args.length === 0 || !this.isHttp) return false;
    const [, response, next] = this.context.getArgs<[unknown, unknown, unknown]>();
    return args.some((arg) => arg !== undefined && (arg === response || arg === next));
  }

  private enter<T>(task: () => T): T {
    return calls.run(this, () => this.scope.run(task));
  }

  private get isHttp(): boolean {
    return this.context.getType() === 'http';
  }

  private awaitResponse(): void {
    const response = responseOf(this.context);
    if (response !== undefined) onceSentOrClosed(response, this.parts.begin());
  }
}
