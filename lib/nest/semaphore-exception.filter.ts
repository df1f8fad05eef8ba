import { type ArgumentsHost, Catch, type ExceptionFilter, Inject } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { type Observable, throwError } from 'rxjs';
import { MODULE_OPTIONS_TOKEN } from '../semaphore.module-definition.js';
import { resolveModuleOptions } from '../resolve-module-options.js';
import { RETRIABLE_ERRORS, type RetriableError } from '../semaphore.errors.js';
import type { SemaphoreModuleOptions, StatusCodes } from '../semaphore.options.js';
import { payloadOf, retryAfterOf, statusCodeOf } from './error-payload.js';
import { rpcPayload, toTransportError } from './transport-error.js';

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

  constructor(
    @Inject(MODULE_OPTIONS_TOKEN) options: SemaphoreModuleOptions,
    @Inject(HttpAdapterHost) private readonly adapterHost: HttpAdapterHost,
  ) {
    this.statusCodes = resolveModuleOptions(options).statusCodes;
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
        return throwError(() => rpcPayload(error, host));
      default:
        throw error;
    }
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
