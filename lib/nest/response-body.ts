import { Abandonment } from '../core/abandonment.js';
import type { Enter } from '../core/watched-iterable.js';
import { whenOver } from '../core/when-over.js';
import { WaitEnded } from '../semaphore.errors.js';
import { onceSentOrClosed, type ResponseStream } from './http-response.js';

// Made once: nobody gets to see it.
const ANSWERED = new WaitEnded('The response was sent, or its connection is gone.');

/**
 * Calls `over` when what a response is made of was read to its end; or when the response is over and nothing is being done for
 * it any more: a client that leaves does not end the step that a generator is at.
 * @param enter leads into the async context of the handler
 * @returns the body to hand on in its place
 */
export function whenBodyOver(
  body: unknown,
  response: ResponseStream,
  over: () => void,
  enter: Enter,
): unknown {
  const left = new Abandonment();
  onceSentOrClosed(response, () => left.abort(ANSWERED));
  return whenOver(body, over, { enter, left });
}
