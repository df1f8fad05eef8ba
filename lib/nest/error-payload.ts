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

/** What an HTTP client is answered with. */
export function statusCodeOf(error: RetriableError, statusCodes: Required<StatusCodes>): number {
  return statusCodes[statusOf(error)];
}

/** Of gRPC: RESOURCE_EXHAUSTED where HTTP has 429, UNAVAILABLE where it has 503. */
export function grpcStatusOf(error: RetriableError): number {
  const status = statusOf(error);
  return status === 'busy' || status === 'timeout' ? 8 : 14;
}

/** The header `Retry-After`: whole seconds. */
export function retryAfterOf(error: RetriableError): string {
  return retryAfterHeader(retryAfterMsOf(error));
}

export function payloadOf(error: RetriableError): ErrorPayload {
  const { code } = error;
  return { code, message: MESSAGES[statusOf(error)], retryAfterMs: retryAfterMsOf(error) };
}

function retryAfterMsOf(error: RetriableError): number {
  if (!(error instanceof PermitUnavailableError)) return DEFAULT_RETRY_AFTER_MS;
  return Math.ceil(error.retryAfterMs);
}
