import { HttpException } from '@nestjs/common';

/**
 * Nest answers a request by the class of an error, and a follower gets none: what another process threw as an HttpException
 * becomes one again, so that the leader's request and all others are answered alike. Anything else stays as it is.
 */
export function withHttpClass(error: unknown): unknown {
  if (!(error instanceof Error) || !error.name.endsWith('Exception')) return error;
  const { response, status, ...fields } = error as Error & { response?: unknown; status?: unknown };
  const isHttp = Number.isInteger(status) && (typeof response === 'string' || isRecord(response));
  if (!isHttp) return error;
  const { cause } = error;
  const own = new HttpException(response, status as number, { cause });
  const { name, message } = error;
  return Object.defineProperties(Object.assign(own, fields), {
    name: { value: name, enumerable: false, writable: true, configurable: true },
    message: { value: message, enumerable: false, writable: true, configurable: true },
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
