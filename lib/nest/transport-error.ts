import type { ArgumentsHost } from '@nestjs/common';
import { isRetriable, type RetriableError } from '../semaphore.errors.js';
import { type ErrorPayload, grpcStatusOf, payloadOf } from './error-payload.js';
import { grpcCallOf } from './grpc-call.js';

/** Whether errors of this transport have to be of a class of its own, which global filters may not see before. */
export function hasOwnErrorClass(host: ArgumentsHost): boolean {
  const type = host.getType();
  return type === 'ws' || type === 'rpc';
}

/** The body of an 'exception' event. */
export function transportPayload(error: RetriableError): ErrorPayload & { status: 'error' } {
  return { status: 'error', ...payloadOf(error) };
}

/** What a microservice answers with. The codes of gRPC are numbers: it takes any other error for an unknown one. */
export function rpcPayload(error: RetriableError, host: ArgumentsHost): object {
  const payload = transportPayload(error);
  return grpcCallOf(host) === undefined ? payload : { ...payload, code: grpcStatusOf(error) };
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
      return Object.assign(new RpcException(rpcPayload(error, host)), { cause: error });
    }
    default:
      return error;
  }
}
