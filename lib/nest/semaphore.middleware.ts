import type { IncomingMessage } from 'node:http';
import type { ScopeSemaphore } from '../core/scope.js';
import { checkedAt, flag, type Rule } from '../option-rules.js';
import { resolveOptions, validateKey, validateOptions } from '../resolve-options.js';
import { isRetriable } from '../semaphore.errors.js';
import type { SemaphoreDefaults, StatusCodes } from '../semaphore.options.js';
import type { SemaphoreService } from '../semaphore.service.js';
import { internalsOf } from '../service-internals.js';
import { retryAfterOf, statusCodeOf } from './error-payload.js';
import { onceSentOrClosed, type ResponseStream } from './http-response.js';

/** Options of {@link semaphoreMiddleware}: its own, and those of the semaphore. */
export interface SemaphoreMiddlewareOptions<Request = IncomingMessage> extends SemaphoreDefaults {
  /**
   * The semaphore's key, or how to get it from the request.
   * @default 'http'
   */
  key?: string | ((request: Request) => string) | undefined;
  /**
   * Take a permit for each request before the handlers after this run. false: only the scope is there, and whoever calls
   * `use(key)` first takes it.
   * @default true
   */
  acquireOnStart?: boolean | undefined;
  /**
   * Release the permit when the response was sent or its connection is gone. false: it stays taken until somebody
   * releases it or its lease ends, and `renew` is false unless you say otherwise.
   * @default true
   */
  releaseOnEnd?: boolean | undefined;
}

/** The response of Node's `http` and `http2`, of Express and of Connect. */
export interface MiddlewareResponse extends ResponseStream {
  /** Whether it is too late for `Retry-After`. */
  readonly headersSent: boolean;
  /** Sets `Retry-After`. */
  setHeader(name: string, value: string): unknown;
}

/** For `app.use()` of Express and Connect, and for `consumer.apply()` of Nest. */
export type SemaphoreMiddleware<Request = IncomingMessage> = (
  request: Request,
  response: MiddlewareResponse,
  next: (error?: unknown) => void,
) => void;

/**
 * Express and Connect middleware: one scope for each request, and one permit for each request in it, released when the
 * response was sent or its connection is gone. In the handlers after it `service.use(key)` gives the request's permit.
 *
 * A refusal goes to `next(error)`: the error has `status` and `statusCode` (429 or 503) and `headers`, and `Retry-After` is
 * set. So has the error of a `use` in the handlers, for Express and Connect to answer with when it is passed on. A client that
 * disconnects while its request waits leaves the queue; nothing is called for it any more.
 * @throws {InvalidOptionsError}
 * @example
 * ```ts
 * app.use('/reports', semaphoreMiddleware(semaphores, { key: 'reports', permits: 5, waitMs: 2_000 }));
 * ```
 */
export function semaphoreMiddleware<Request = IncomingMessage>(
  service: SemaphoreService,
  options: SemaphoreMiddlewareOptions<Request> = {},
): SemaphoreMiddleware<Request> {
  const { acquireOnStart, semaphoreOf } = checkedAt('semaphoreMiddleware()', () =>
    resolve(service, options),
  );
  return (request, response, next) => {
    const semaphore = semaphoreOf(request);
    const scope = internalsOf(service).openScope(semaphore);
    // Who has not ended the response may still be at work, whether anybody waits for it or not.
    onceSentOrClosed(response, () => {
      void (response.writableEnded === false ? scope.breakOff() : scope.end());
    });
    // When the response is over nobody is called: there is nobody to answer.
    const proceed = (error?: unknown): void => {
      if (!scope.isOver) scope.run(() => (error === undefined ? next() : next(error)));
    };
    if (!acquireOnStart || scope.isOver) return proceed();
    scope.use(semaphore.key).then(
      () => proceed(),
      (error: unknown) => {
        // For error handlers that know nothing of `error.headers`.
        if (isRetriable(error) && !response.headersSent) {
          response.setHeader('Retry-After', retryAfterOf(error));
        }
        proceed(error);
      },
    );
  };
}

/** Gives an error what Express and Connect need to answer with its status, whoever passes it on to them. */
function setStatus(error: unknown, statusCodes: Required<StatusCodes>): void {
  if (!isRetriable(error)) return;
  const statusCode = statusCodeOf(error, statusCodes);
  const headers = { 'Retry-After': retryAfterOf(error) };
  Object.assign(error, { status: statusCode, statusCode, headers });
}

const OWN_RULES: Record<
  Exclude<keyof SemaphoreMiddlewareOptions, keyof SemaphoreDefaults>,
  Rule
> = {
  key: {
    text: 'a string, or a function of the request',
    holds: (value) => typeof value === 'string' || typeof value === 'function',
  },
  acquireOnStart: flag,
  releaseOnEnd: flag,
};

/** @throws {InvalidOptionsError} */
function resolve<Request>(
  service: SemaphoreService,
  options: SemaphoreMiddlewareOptions<Request>,
): { acquireOnStart: boolean; semaphoreOf: (request: Request) => ScopeSemaphore } {
  internalsOf(service);
  validateOptions(options, OWN_RULES);
  const { key = 'http', acquireOnStart = true, releaseOnEnd = true, ...given } = options;
  if (typeof key !== 'function') validateKey(key);
  resolveOptions(service.defaults, given);
  // A permit that nobody is sure to release must end by itself.
  const own = releaseOnEnd ? given : { ...given, renew: given.renew ?? false };
  const onRefused = (error: unknown): void => setStatus(error, service.statusCodes);
  const semaphoreOf = (request: Request): ScopeSemaphore => {
    const ofRequest = typeof key === 'function' ? key(request) : key;
    validateKey(ofRequest);
    return { key: ofRequest, options: own, releaseOnEnd, onRefused };
  };
  return { acquireOnStart, semaphoreOf };
}
