import { isError } from './plain-values.js';
import { isShareable } from './shareable.js';

/** An error as it travels. Fields and cause are written by the serializer, apart from the rest. */
export type ErrorText = {
  name: string;
  message: string;
  fields: string;
  cause?: string;
};

/** What an error has of its own that is not a field. */
const NOT_FIELDS = new Set(['name', 'message', 'stack', 'cause', '__proto__']);

/** In place of a value, and not shareable itself. */
const UNREADABLE = Symbol('unreadable');

/** A cause of a cause of a cause ... may be the error itself. */
const MAX_CAUSES = 8;

/** Errors that are being described now, each within a field of the one before: a field that leads back to them stays behind. */
const underWay = new Set<object>();

/** The error as it travels, without what cannot: sockets and functions that hang on the errors of HTTP clients. */
export function describeError(
  error: Error,
  encode: (value: unknown) => string,
  causes = 0,
): ErrorText {
  const isOutermost = !underWay.has(error);
  underWay.add(error);
  try {
    return describe(error, encode, causes);
  } finally {
    if (isOutermost) underWay.delete(error);
  }
}

function describe(error: Error, encode: (value: unknown) => string, causes: number): ErrorText {
  const fields: Record<string, unknown> = {};
  for (const name of Object.keys(error)) {
    if (NOT_FIELDS.has(name)) continue;
    const value = valueOf(error, name);
    if (isShareable(value, underWay)) fields[name] = value;
  }
  const code = valueOf(error, 'code');
  if (typeof code === 'string' || typeof code === 'number') fields['code'] = code;
  const errors = valueOf(error, 'errors');
  if (Array.isArray(errors) && isShareable(errors, underWay)) fields['errors'] = errors;
  const text = { name: String(error.name), message: String(error.message), fields: encode(fields) };
  const cause = describeCause(error, encode, causes);
  return cause === undefined ? text : { ...text, cause };
}

/** Some errors have getters that throw. */
function valueOf(error: Error, name: string): unknown {
  try {
    return (error as unknown as Record<string, unknown>)[name];
  } catch {
    return UNREADABLE;
  }
}

export function toError(text: ErrorText, decode: (text: string) => unknown): Error {
  const { cause } = text;
  const error = new Error(
    text.message,
    cause === undefined ? undefined : { cause: toCause(cause, decode) },
  );
  set(error, 'name', text.name, false);
  for (const [name, value] of Object.entries(decode(text.fields) as object)) {
    if (!NOT_FIELDS.has(name)) set(error, name, value, true);
  }
  return error;
}

/** An error in its own words, so that the depth can be counted; anything else as a value. */
function describeCause(
  error: Error,
  encode: (value: unknown) => string,
  causes: number,
): string | undefined {
  const cause = valueOf(error, 'cause');
  if (cause === undefined || causes >= MAX_CAUSES) return undefined;
  if (isError(cause)) return JSON.stringify({ error: describeError(cause, encode, causes + 1) });
  return isShareable(cause, underWay) ? JSON.stringify({ value: encode(cause) }) : undefined;
}

function toCause(text: string, decode: (text: string) => unknown): unknown {
  const { error, value } = JSON.parse(text) as { error?: ErrorText; value?: string };
  return error === undefined ? decode(value as string) : toError(error, decode);
}

function set(error: Error, name: string, value: unknown, enumerable: boolean): void {
  Object.defineProperty(error, name, { value, enumerable, writable: true, configurable: true });
}
