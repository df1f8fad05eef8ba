import type { ExecutionContext } from '@nestjs/common';

/** The part of Node's ServerResponse (HTTP/1 and HTTP/2) that is used here. */
export interface ResponseStream {
  readonly writableFinished?: boolean;
  readonly destroyed?: boolean;
  once(event: 'close' | 'finish', listener: () => void): unknown;
  removeListener(event: 'close' | 'finish', listener: () => void): unknown;
}

/** The response that the request behind `context` waits for; undefined for transports without one. */
export function responseOf(context: ExecutionContext): ResponseStream | undefined {
  switch (context.getType<string>()) {
    case 'http':
      return asStream(context.switchToHttp().getResponse());
    case 'graphql': {
      const carrier: unknown = context.getArgByIndex(2);
      return asStream(property(carrier, 'res') ?? property(carrier, 'reply'));
    }
    default:
      return undefined;
  }
}

/**
 * Calls `listener` once when the response has been sent or its connection is gone, at once when it already is.
 * @returns what stops it
 */
export function onceSentOrClosed(response: ResponseStream, listener: () => void): () => void {
  if (response.writableFinished === true || response.destroyed === true) {
    listener();
    return () => undefined;
  }
  const stop = (): void => {
    response.removeListener('finish', ended);
    response.removeListener('close', ended);
  };
  const ended = (): void => {
    stop();
    listener();
  };
  response.once('finish', ended);
  response.once('close', ended);
  return stop;
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
