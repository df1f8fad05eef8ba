import { DEFAULT_RETRY_AFTER_MS, retryAfterHeader } from '../http/retry-after.js';
import { PermitUnavailableError, type RetriableError } from '../semaphore.errors.js';
import type { StatusCodes } from '../semaphore.options.js';

/** What a client is told. Keys, limits and the store's own words stay inside. */
export interface ErrorPayload {
  code: string;
  message: string;
  retryAfterMs: number;
}

const MESSAGES: Record<keyof StatusCodes, string> = {
  busy: 'Too many requests are being worked on. Try again later.',
  timeout: 'Too many requests are being worked on, and none was done in time. Try again later.',
  queueFull: 'Too many requests are waiting already. Try again later.',
  unavailable: 'The service cannot take the request now. Try again later.',
};

/** Which of the configurable status codes an error has. */
function statusOf(error: RetriableError): keyof StatusCodes {
  if (!(error instanceof PermitUnavailableError)) return 'unavailable';
  return error.reason === 'queue-full' ? 'queueFull' : error.reason;
}

/** What an HTTP client is answered. */
export interface HttpAnswer {
  statusCode: number;
  /** The header `Retry-After`: whole seconds. */
  retryAfter: string;
  payload: ErrorPayload;
}

export function httpAnswerOf(
  error: RetriableError,
  statusCodes: Required<StatusCodes>,
): HttpAnswer {
  const payload = payloadOf(error);
  return {
    statusCode: statusCodes[statusOf(error)],
    retryAfter: retryAfterHeader(payload.retryAfterMs),
    payload,
  };
}

export function payloadOf(error: RetriableError): ErrorPayload {
  return {
    code: error.code,
    message: MESSAGES[statusOf(error)],
    retryAfterMs:
      error instanceof PermitUnavailableError
        ? Math.ceil(error.retryAfterMs)
        : DEFAULT_RETRY_AFTER_MS,
  };
}
