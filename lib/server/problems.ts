import { type BrokenRule, HttpProblem, internalError } from '../http/http-problem.js';
import { DEFAULT_RETRY_AFTER_MS, retryAfterHeader } from '../http/retry-after.js';
import {
  AcquireAbortedError,
  InvalidOptionsError,
  PermitLostError,
  PermitUnavailableError,
  SemaphoreClosedError,
  SemaphoreError,
} from '../semaphore.errors.js';

const STORE_DOWN = 'The store of the semaphores is not available. Try again later.';

/** 400 that names the first field and rule in its message, all of them in its details. */
export function invalidRequest(broken: readonly BrokenRule[]): HttpProblem {
  const [first] = broken;
  const message = first === undefined ? 'Invalid request' : `\`${first.field}\`: ${first.rule}`;
  return new HttpProblem(400, 'INVALID_REQUEST', message, { details: broken });
}

/**
 * What a client is told of an error. The store's own words stay inside.
 * @param report gets what should not have happened
 */
export function toProblem(error: unknown, report: (error: unknown) => void): HttpProblem {
  if (error instanceof PermitUnavailableError) {
    const { code, message, reason } = error;
    const statusCode = reason === 'queue-full' ? 503 : 429;
    const retryAfterMs = Math.ceil(error.retryAfterMs);
    return retriableProblem(statusCode, code, message, { reason, retryAfterMs });
  }
  if (error instanceof InvalidOptionsError) {
    return invalidRequest([{ field: error.option, rule: error.rule }]);
  }
  if (error instanceof PermitLostError) return new HttpProblem(410, error.code, error.message);
  if (error instanceof SemaphoreError) {
    return retriableProblem(503, error.code, whyNotNow(error));
  }
  report(error);
  return internalError();
}

function whyNotNow(error: SemaphoreError): string {
  if (error instanceof SemaphoreClosedError) return 'The server shuts down';
  return error instanceof AcquireAbortedError ? 'The session has ended' : STORE_DOWN;
}

/** What a problem says beside its code and message. */
interface Members {
  retryAfterMs?: number;
  [name: string]: unknown;
}

export function storeDown(members?: Members): HttpProblem {
  return retriableProblem(503, 'SEMAPHORE_STORE_UNAVAILABLE', STORE_DOWN, members);
}

/** Tells the client to try again later. */
export function retriableProblem(
  statusCode: number,
  code: string,
  message: string,
  members: Members = {},
): HttpProblem {
  const { retryAfterMs = DEFAULT_RETRY_AFTER_MS } = members;
  return new HttpProblem(statusCode, code, message, {
    headers: { 'retry-after': retryAfterHeader(retryAfterMs) },
    members: { ...members, retryAfterMs },
  });
}
