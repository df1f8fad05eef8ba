import type { ExecutionContext } from '@nestjs/common';
import { WaitEnded } from '../semaphore.errors.js';
import { type GrpcCall, grpcCallOf } from './grpc-call.js';

/** Why a wait ends whose client is gone. Made once: an error of its own for each call would cost more than the rest of the call. */
export const DISCONNECTED = new WaitEnded('The client disconnected while its request waited.');

/** The part of Node's ServerResponse (HTTP/1 and HTTP/2) that is used here. */
export interface ResponseStream {
  /** Whether `end` was called. */
  readonly writableEnded?: boolean;
  /** Whether all of it was sent. */
  readonly writableFinished?: boolean;
  /** Whether its connection is gone. */
  readonly destroyed?: boolean;
  /** Of HTTP/2 only. */
  readonly stream?: { readonly destroyed?: boolean };
  /** Its connection. */
  readonly socket?: unknown;
  /** What it answers. */
  readonly req?: { readonly socket?: unknown };
  /** Tells once when it was sent, or its connection is gone. */
  once(event: 'close' | 'finish', listener: () => void): unknown;
}

const watched = new WeakMap<ResponseStream, Set<() => void>>();

/** The response that the request behind `context` waits for; undefined for transports without one. */
export function responseOf(context: ExecutionContext): ResponseStream | undefined {
  switch (context.getType<string>()) {
    case 'http':
      return asStream(context.switchToHttp().getResponse());
    case 'graphql': {
      const carrier: unknown = context.getArgByIndex(2);
      return asStream(
        property(carrier, 'res') ??
          property(carrier, 'reply') ??
          property(property(carrier, 'req'), 'res'),
      );
    }
    default:
      return undefined;
  }
}

/** What closes when the client disconnects: the response, or for GraphQL, which may know of none, the connection; of gRPC the call. */
export function connectionOf(context: ExecutionContext): ResponseStream | undefined {
  const call = grpcCallOf(context);
  if (call !== undefined) return closedWhenCancelled(call);
  const response = responseOf(context);
  if (response !== undefined || context.getType<string>() !== 'graphql') return response;
  const request = graphqlRequestOf(context.getArgByIndex(2));
  return asStream(property(property(request, 'raw') ?? request, 'socket'));
}

/** For what is asked over a WebSocket the request that opened it: graphql-ws has it in `extra`, Mercurius as `request`. */
function graphqlRequestOf(carrier: unknown): unknown {
  const request = property(carrier, 'req') ?? property(carrier, 'request');
  const extra = property(request, 'extra') ?? property(carrier, 'extra');
  return property(extra, 'request') ?? request;
}

function closedWhenCancelled(call: GrpcCall): ResponseStream {
  return {
    get destroyed() {
      return call.cancelled;
    },
    once: (event, listener) => event === 'close' && call.once('cancelled', listener),
  };
}

/**
 * Calls `listener` once when the response has been sent or its connection is gone, at once when it already is.
 * @returns what stops it
 */
export function onceSentOrClosed(response: ResponseStream, listener: () => void): () => void {
  if (isSentOrClosed(response)) {
    listener();
    return () => undefined;
  }
  const own = (): void => listener();
  const listeners = watched.get(response) ?? watch(response, own);
  listeners.add(own);
  return () => void listeners.delete(own);
}

function isSentOrClosed({ stream, writableFinished, destroyed }: ResponseStream): boolean {
  // In HTTP/2 the answer to HEAD counts as finished from its beginning on.
  return stream === undefined
    ? writableFinished === true || destroyed === true
    : stream.destroyed === true;
}

/**
 * One listener on each response, however many fields of a GraphQL operation wait: Node warns of the eleventh.
 * @param first is called at once when the connection of a pipelined response is gone already
 */
function watch(response: ResponseStream, first: () => void): Set<() => void> {
  const listeners = new Set([first]);
  let stopWatchingSocket = (): void => undefined;
  let isOver = false;
  const ended = (): void => {
    if (isOver) return;
    isOver = true;
    stopWatchingSocket();
    watched.delete(response);
    for (const listener of listeners) listener();
  };
  watched.set(response, listeners);
  response.once('finish', ended);
  response.once('close', ended);
  // A pipelined response is told nothing of its connection before its turn has come.
  const socket = response.socket === null ? asStream(response.req?.socket) : undefined;
  if (socket !== undefined) stopWatchingSocket = onceSentOrClosed(socket, ended);
  return listeners;
}

/** Fastify's reply wraps the response of Node. */
function asStream(response: unknown): ResponseStream | undefined {
  const raw = property(response, 'raw') ?? response;
  return typeof property(raw, 'once') === 'function' ? (raw as ResponseStream) : undefined;
}

function property(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? (value as Record<string, unknown>)[name]
    : undefined;
}
