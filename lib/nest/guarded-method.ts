import { Observable, takeUntil } from 'rxjs';
import { CancelSource } from '../cancel/cancel-source.js';
import type { Permit } from '../core/permit.js';
import { AcquireAbortedError, WaitEnded } from '../semaphore.errors.js';
import type { CancelSignal } from '../cancel/cancel-signal.js';
import type { SemaphoreService } from '../semaphore.service.js';
import { acquireFor, admit } from './admit.js';
import { KeyByArgs } from './by-args.js';
import { injectedInto } from './decorated-method.js';
import { currentCall, type HandlerCall } from './handler-call.js';
import { keyOf, SEMAPHORE_SERVICE, type SemaphoreDefinition } from './semaphore.definition.js';

// Made once: an error of its own for each call would cost more than the rest of the call.
const UNREAD = new WaitEnded('Nobody reads the result any more.');

const INJECTION = {
  property: SEMAPHORE_SERVICE,
  decorator: '@Semaphore()',
  service: 'SemaphoreService',
};

/** One call of a decorated method. */
export interface Invocation {
  readonly definition: SemaphoreDefinition;
  readonly instance: unknown;
  readonly args: unknown[];
}

/** What the decorated method returns at once, and therefore has to return before a permit is there. */
export type ReturnKind = 'promise' | 'observable' | 'async-generator';

/** Runs a decorated method: as a part of the handler call that it belongs to, else under a permit of its own. */
export function invoke(invocation: Invocation, kind: ReturnKind): unknown {
  const call = currentCall();
  if (call?.isFor(invocation.definition) === true) {
    if (call.permit !== undefined) return call.run(() => original(invocation), invocation.args);
    if (invocation.definition.key instanceof KeyByArgs) return runInCall(invocation, call);
  }
  if (kind === 'observable') return observe(invocation);
  if (kind === 'async-generator') return generate(invocation);
  return admitFor(invocation, () => original(invocation));
}

/** A handler whose key comes from its arguments: they are known only now. */
async function runInCall(invocation: Invocation, call: HandlerCall): Promise<unknown> {
  const { definition, args } = invocation;
  const key = currentKey(invocation);
  const permit = await acquireFor(serviceOf(invocation), definition, key, call.signal);
  if (permit === undefined) return undefined;
  // Whoever asked was gone when the permit came.
  if (call.isOver) return void permit.release();
  call.admitted(permit);
  return call.run(() => original(invocation), args);
}

async function admitFor<T>(
  invocation: Invocation,
  task: (permit: Permit) => T | Promise<T>,
  signal?: CancelSignal,
): Promise<T | undefined> {
  const service = serviceOf(invocation);
  return admit(service, invocation.definition, currentKey(invocation), task, signal);
}

function observe(invocation: Invocation): Observable<unknown> {
  const service = serviceOf(invocation);
  const key = currentKey(invocation);
  return new Observable((subscriber) => {
    const abandoned = new CancelSource();
    subscriber.add(() => abandoned.abort(UNREAD));
    const left = new Observable<void>((leave) => subscriber.add(() => leave.next()));
    // Its end is told when the permit is given back.
    const task = (): Promise<void> =>
      new Promise((complete, error) => {
        const source = original(invocation) as Observable<unknown>;
        const next = (value: unknown): void => subscriber.next(value);
        // Its reader may leave while it emits within this call, where there is no subscription to end yet.
        source.pipe(takeUntil(left)).subscribe({ next, error, complete });
      });
    admit(service, invocation.definition, key, task, abandoned).then(
      () => subscriber.complete(),
      (error: unknown) => subscriber.error(error),
    );
  });
}

/** Runs an async generator. Who leaves while it waits for its permit need not wait for that. */
function generate(invocation: Invocation): AsyncGenerator<unknown, unknown, unknown> {
  const left = new CancelSource();
  const steps = stepsOf(invocation, left);
  for (const ending of ['return', 'throw'] as const) {
    const end = steps[ending].bind(steps);
    steps[ending] = (reason: unknown) => {
      left.abort(UNREAD);
      return end(reason);
    };
  }
  return steps;
}

async function* stepsOf(
  invocation: Invocation,
  left: CancelSignal,
): AsyncGenerator<unknown, unknown, unknown> {
  const work = (): AsyncGenerator => original(invocation) as AsyncGenerator;
  const steps = await admitFor(invocation, work, left).catch((error: unknown) => {
    if (error instanceof AcquireAbortedError) return undefined;
    throw error;
  });
  return steps === undefined ? undefined : yield* steps;
}

function original({ definition, instance, args }: Invocation): unknown {
  return Reflect.apply(definition.method, instance, args);
}

function currentKey({ definition, args }: Invocation): string | readonly string[] {
  return keyOf(definition, currentCall()?.context, args);
}

function serviceOf({ definition, instance }: Invocation): SemaphoreService {
  return injectedInto(instance, INJECTION, definition.name);
}
