import type { ExecutionContext } from '@nestjs/common';
import { CancelSource } from '../cancel/cancel-source.js';
import { isBody, whenOver, type WhenOverOptions } from '../completion/when-over.js';
import { WaitEnded } from '../semaphore.errors.js';
import { onceSentOrClosed, responseOf, type ResponseStream } from './http-response.js';

// Made once: nobody gets to see it.
const ANSWERED = new WaitEnded('The response was sent, or its connection is gone.');

/**
 * The response that a handler's result is sent bit by bit with; undefined when it is no body, or there is no response: GraphQL
 * may read only the fields of an iterable object, and a subscription over WebSocket has none.
 */
export function responseOfBody(
  result: unknown,
  context: ExecutionContext,
): ResponseStream | undefined {
  return isBody(result) ? responseOf(context) : undefined;
}

/**
 * Calls `over` when a handler's result was read to its end; or, when it is the body of a response, when that is over and nothing is
 * being done for it any more: a client that leaves does not end the step that a generator is at.
 * @param response of {@link responseOfBody}
 * @param options `enter` leads into the async context of the handler
 * @returns the result to hand on in its place
 */
export function whenResultOver(
  result: unknown,
  response: ResponseStream | undefined,
  over: () => void,
  options: Pick<WhenOverOptions, 'enter' | 'unread'>,
): unknown {
  if (response === undefined) return whenOver(result, over, options);
  const left = new CancelSource();
  onceSentOrClosed(response, () => left.abort(ANSWERED));
  return whenOver(result, over, { ...options, left });
}
