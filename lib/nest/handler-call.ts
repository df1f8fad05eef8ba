import type { CallHandler, ExecutionContext } from '@nestjs/common';
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Subscriber } from 'rxjs';
import { Abandonment, type CancelSignal } from '../core/abandonment.js';
import type { Permit } from '../core/permit.js';
import type { Scope } from '../core/scope.js';
import {
  connectionOf,
  onceSentOrClosed,
  type ResponseStream,
  responseOf,
} from './http-response.js';
import { definitionOf, type SemaphoreDefinition } from './semaphore.definition.js';
import { isBody, isThenable, whenOver } from './when-over.js';

const calls = new AsyncLocalStorage<HandlerCall>();

// Made once: an error of its own for each call would cost more than the rest of the call.
const DISCONNECTED = new Error('The client disconnected while its request waited.');
const UNREAD = new Error('Nobody waits for the result any more.');

/** The handler call in whose async context this runs. */
export function currentCall(): HandlerCall | undefined {
  return calls.getStore();
}

/**
 * One call of a decorated handler, which its permit outlives by nothing. It has parts that end in any order: Nest's
 * subscription, the method's own work, the response. It is over when none of them is left.
 */
export class HandlerCall {
  /** Set as long as there is one; not yet when the key comes from the arguments. */
  permit: Permit | undefined;
  /** Settles when all work of the call is over, and what its scope held is released. */
  readonly over: Promise<void>;

  private readonly abandoned = new Abandonment();
  private readonly response: ResponseStream | undefined;
  private stopWatching: () => void = () => undefined;
  private parts = 0;
  private isOver = false;
  private isRunning = false;
  private settle: () => void = () => undefined;

  constructor(
    readonly context: ExecutionContext,
    private readonly scope: Scope,
  ) {
    const worked = new Promise<void>((resolve) => {
      this.settle = resolve;
    });
    this.over = worked.then(() => scope.end());
    this.response = responseOf(context);
    const connection = connectionOf(context);
    if (connection !== undefined) {
      this.stopWatching = onceSentOrClosed(connection, () => {
        this.abandoned.abort(DISCONNECTED);
      });
    }
  }

  /** Aborted when nobody wants the result any more; by a disconnected client only while the request waits. */
  get signal(): CancelSignal {
    return this.abandoned;
  }

  /** The permit is there: from now on a client that disconnects changes nothing. */
  admitted(permit: Permit): void {
    this.stopWatching();
    this.permit = permit;
    this.scope.adopt(permit);
  }

  /** Lets Nest run the rest of the handler's chain, and passes on what comes of it. */
  subscribe(next: CallHandler, subscriber: Subscriber<unknown>): void {
    const done = this.begin();
    // Whoever asked was gone when the permit came.
    if (subscriber.closed) return done();
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
      this.stopWatching();
      subscription.unsubscribe();
      this.abandoned.abort(UNREAD);
      done();
    });
  }

  /** Nobody listens any more: leaves the queue, if it still stands there. */
  abandon(): void {
    this.stopWatching();
    this.abandoned.abort(UNREAD);
  }

  /**
   * Whether running the method now is what this call is about: false while it runs (the method calls itself), and
   * after it was over (something that the handler left behind calls it).
   */
  isFor(definition: SemaphoreDefinition): boolean {
    return (
      !this.isOver && !this.isRunning && definitionOf(this.context.getHandler()) === definition
    );
  }

  /** Runs the method as a part of this call. */
  run(work: () => unknown, args: readonly unknown[]): unknown {
    const done = this.begin();
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
    if (this.isHttp && isBody(value)) {
      // The response part begins when Nest gets the value: until then the subscription is still there.
      over();
      return value;
    }
    return whenOver(value, over, this.signal);
  }

  /** A handler that was given `@Res()` or `@Next()` may go on writing after it has returned. */
  private sendsResponse(args: readonly unknown[]): boolean {
    if (!this.isHttp) return false;
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
    if (this.response !== undefined) onceSentOrClosed(this.response, this.begin());
  }

  private begin(): () => void {
    let isOpen = true;
    this.parts++;
    return () => {
      if (!isOpen) return;
      isOpen = false;
      if (--this.parts > 0) return;
      this.isOver = true;
      this.settle();
    };
  }
}
