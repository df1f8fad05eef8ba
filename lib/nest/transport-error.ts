import type { ArgumentsHost } from '@nestjs/common';
import { isRetriable, type RetriableError } from '../semaphore.errors.js';
import { type ErrorPayload, payloadOf } from './error-payload.js';

/** Whether errors of this transport have to be of a class of its own, which global filters may not see before. */
export function hasOwnErrorClass(host: ArgumentsHost): boolean {
  const type = host.getType();
  return type === 'ws' || type === 'rpc';
}

/** The body of an 'exception' event, and of an error that a microservice answers with. */
export function transportPayload(error: RetriableError): ErrorPayload & { status: 'error' } {
  return { status: 'error', ...payloadOf(error) };
}

/** The WsException or RpcException that says what a semaphore's error says; any other error as it is. */
export async function toTransportError(error: unknown, host: ArgumentsHost): Promise<unknown> {
  if (!isRetriable(error)) return error;
  switch (host.getType()) {
    case 'ws': {
      const { WsException } = await import('@nestjs/websockets');
      return Object.assign(new WsException(transportPayload(error)), { cause: error });
    }
    case 'rpc': {
      const { RpcException } = await import('@nestjs/microservices');
      return Object.assign(new RpcException(transportPayload(error)), { cause: error });
    }
    default:
      return error;
  }
}
