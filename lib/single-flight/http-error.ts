import { HttpException } from '@nestjs/common';
import { isObject } from '../option-rules.js';
import { RETRIABLE_ERRORS } from '../semaphore.errors.js';

const OWN = new Map<string, object>(
  RETRIABLE_ERRORS.map(({ name, prototype }) => [name, prototype]),
);
const OWN_CODE = /^(SEMAPHORE|SINGLE_FLIGHT)_/;

/**
 * Nest answers a request by the class of an error, and a follower gets none: what another process threw as an HttpException,
 * or as an error of this library that stands for "try again later", becomes one again, so that the leader's request and
 * all others are answered alike. Anything else stays as it is.
 */
export function withHttpClass(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const prototype = OWN.get(error.name);
  if (prototype !== undefined && 'code' in error && OWN_CODE.test(String(error.code))) {
    return Object.setPrototypeOf(error, prototype);
  }
  if (!error.name.endsWith('Exception')) return error;
  const { response, status, ...fields } = error as Error & { response?: unknown; status?: unknown };
  const isHttp = Number.isInteger(status) && (typeof response === 'string' || isObject(response));
  if (!isHttp) return error;
  const { cause } = error;
  const own = new HttpException(response, status as number, { cause });
  const { name, message } = error;
  return Object.defineProperties(Object.assign(own, fields), {
    name: { value: name, enumerable: false, writable: true, configurable: true },
    message: { value: message, enumerable: false, writable: true, configurable: true },
  });
}
