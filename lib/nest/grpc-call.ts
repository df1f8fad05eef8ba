import type { ArgumentsHost } from '@nestjs/common';
import { isObject } from '../option-rules.js';

/** What is used here of a call that a gRPC server (`@grpc/grpc-js`) gives to its handler. */
export interface GrpcCall {
  readonly cancelled: boolean;
  /** Tells when the client has given up, or its deadline is over. */
  once(event: 'cancelled', listener: () => void): unknown;
}

/** The gRPC call that a handler answers; undefined for all other transports. */
export function grpcCallOf(host: ArgumentsHost): GrpcCall | undefined {
  if (host.getType() !== 'rpc') return undefined;
  return host.getArgs<unknown[]>().find(isGrpcCall);
}

function isGrpcCall(value: unknown): value is GrpcCall {
  if (!isObject(value) || typeof (value as Partial<GrpcCall>).cancelled !== 'boolean') return false;
  return ['once', 'getPeer', 'sendMetadata'].every(
    (name) => typeof (value as Record<string, unknown>)[name] === 'function',
  );
}
