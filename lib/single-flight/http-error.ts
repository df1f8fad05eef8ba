import { HttpException } from '@nestjs/common';
import { RETRIABLE_ERRORS } from '../semaphore.errors.js';
import { isShareable } from './shareable.js';

/** An HttpException as it travels: what it is answered with is no field like others. */
export interface HttpErrorText {
  error: Error;
  status: number;
  response: string | object;
}

const OWN = new Map<string, object>(
  RETRIABLE_ERRORS.map(({ name, prototype }) => [name, prototype]),
);
const OWN_CODE = /^(SEMAPHORE|SINGLE_FLIGHT)_/;

/** Whether it is an HttpException, of any copy of `@nestjs/common`, whatever its class is called. */
export function isHttpException(error: unknown): error is HttpException {
  return error instanceof Error && 'getStatus' in error && 'getResponse' in error;
}

/**
 * Nest answers a request by the class of an error, and a follower gets none: what another process threw as an HttpException
 * becomes one again, so that the leader's request and all others are answered alike. A response that cannot be shared, such as
 * an instance of a class, is what a client would have seen of it.
 */
export function describeHttpError(error: HttpException): HttpErrorText {
  const response = error.getResponse();
  return {
    error,
    status: error.getStatus(),
    response: isShareable(response)
      ? response
      : (JSON.parse(JSON.stringify(response)) as string | object),
  };
}

export function toHttpError({ error, status, response }: HttpErrorText): HttpException {
  const { name, message, cause } = error;
  const own = new HttpException(response, status, { cause });
  return Object.defineProperties(Object.assign(own, error, { response, status }), {
    name: { value: name, enumerable: false, writable: true, configurable: true },
    message: { value: message, enumerable: false, writable: true, configurable: true },
  });
}

/** An error of this library that stands for "try again later" becomes one again. Anything else stays as it is. */
export function withOwnClass(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const prototype = OWN.get(error.name);
  const isOwn = prototype !== undefined && 'code' in error && OWN_CODE.test(String(error.code));
  return isOwn ? Object.setPrototypeOf(error, prototype) : error;
}
