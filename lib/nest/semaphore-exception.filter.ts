import { type ArgumentsHost, Catch, type ExceptionFilter, Inject, Logger } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { type Observable, throwError } from 'rxjs';
import { MODULE_OPTIONS_TOKEN } from '../semaphore.module-definition.js';
import { resolveModuleOptions } from '../resolve-module-options.js';
import { RETRIABLE_ERRORS, type RetriableError } from '../semaphore.errors.js';
import type { SemaphoreModuleOptions, StatusCodes } from '../semaphore.options.js';
import { systemClock } from '../store/clock.js';
import { payloadOf, retryAfterOf, statusCodeOf } from './error-payload.js';
import { grpcCallOf } from './grpc-call.js';
import { rpcPayload, toTransportError } from './transport-error.js';

const WARN_EVERY_MS = 1_000;

/**
 * Tells clients that no permit could be had, in the way of their transport: HTTP 429 or 503 with `Retry-After`, a
 * GraphQL error with `extensions.code`, the 'exception' event of WebSockets, an RpcException.
 *
 * SemaphoreModule registers it for the application. Filters for everything that come before it get the error first, unless
 * it is bound again after them. Nest has no global filters for gateways: gateways whose
 * undecorated handlers call services with semaphores bind it with `@UseFilters(SemaphoreExceptionFilter)`.
 */
@Catch(...RETRIABLE_ERRORS)
export class SemaphoreExceptionFilter implements ExceptionFilter<RetriableError> {
  private readonly statusCodes: Required<StatusCodes>;
  private readonly isSilent: boolean;
  private warnedAt = -Infinity;

  constructor(
    @Inject(MODULE_OPTIONS_TOKEN) options: SemaphoreModuleOptions,
    @Inject(HttpAdapterHost) private readonly adapterHost: HttpAdapterHost,
  ) {
    const { statusCodes, log } = resolveModuleOptions(options);
    this.statusCodes = statusCodes;
    this.isSilent = log.level === 'none';
  }

  /** Called by Nest. */
  catch(error: RetriableError, host: ArgumentsHost): Observable<never> | undefined {
    switch (host.getType<string>()) {
      case 'http':
        this.respond(error, host);
        return undefined;
      case 'graphql':
        throw graphqlError(error);
      case 'ws':
        void emit(error, host);
        return undefined;
      case 'rpc':
        if (grpcCallOf(host) === undefined) this.warn(error);
        return throwError(() => rpcPayload(error, host));
      default:
        throw error;
    }
  }

  /** Nobody is answered when it was an event, which does not show here, and Nest leaves the word to filters. */
  private warn(error: RetriableError): void {
    const now = systemClock.now();
    if (this.isSilent || now - this.warnedAt < WARN_EVERY_MS) return;
    this.warnedAt = now;
    new Logger('Semaphore').warn(`A message or event of a microservice failed: ${error.message}`);
  }

  private respond(error: RetriableError, host: ArgumentsHost): void {
    const { httpAdapter } = this.adapterHost;
    const response: unknown = host.switchToHttp().getResponse();
    if (httpAdapter.isHeadersSent(response)) {
      httpAdapter.end(response);
      return;
    }
    const statusCode = statusCodeOf(error, this.statusCodes);
    httpAdapter.setHeader(response, 'Retry-After', retryAfterOf(error));
    httpAdapter.reply(response, { statusCode, ...payloadOf(error) }, statusCode);
  }
}

/** GraphQL takes the extensions over from the error that a resolver throws. */
function graphqlError(error: RetriableError): Error {
  const { code, message, retryAfterMs } = payloadOf(error);
  return Object.assign(new Error(message, { cause: error }), {
    extensions: { code, retryAfterMs },
  });
}

async function emit(error: RetriableError, host: ArgumentsHost): Promise<void> {
  const { BaseWsExceptionFilter } = await import('@nestjs/websockets');
  new BaseWsExceptionFilter().catch(await toTransportError(error, host), host);
}
