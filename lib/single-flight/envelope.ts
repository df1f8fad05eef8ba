import { types } from 'node:util';
import { detailOf, ResultNotSharedError } from '../semaphore.errors.js';
import {
  describeHttpError,
  type HttpErrorText,
  isHttpException,
  toHttpError,
  withOwnClass,
} from './http-error.js';
import type { ResolvedFlightOptions, SingleFlightSerializer } from './single-flight.options.js';
import { superjsonSerializer } from './superjson.serializer.js';
import { transportClassOf } from './transport-exception.js';

/** What came of the work. */
export type Outcome =
  | { isError: false; value: unknown }
  /** Whatever was thrown; or, unreadable, why what another process packed cannot be unpacked here. */
  | { isError: true; error: unknown; isUnreadable?: true }
  /** A copy, which is yet to become of that class. */
  | { isError: true; error: Error; transportClass: string; isUnreadable?: undefined };

/** As it travels. */
interface TransportErrorText {
  error: Error;
  transportClass: string;
}

interface Packed {
  payload: string;
  /** Why it goes to nobody but the caller that did the work. */
  refusal?: ResultNotSharedError;
}

const VALUE = 'v';
const ERROR = 'e';
const HTTP_ERROR = 'h';
const TRANSPORT_ERROR = 't';
const REFUSAL = 'x';

/** The payload that says so. */
export const TOO_LONG_FOR_THE_WAY = `${REFUSAL}it is too long for something on the way to the store: return less`;

/** In UTF-8, of one unit of a string: what is short need not be measured. */
const MOST_BYTES_A_UNIT = 3;

/**
 * The outcome for other processes. Never throws.
 * @param storable how many bytes the store takes
 */
export function pack(
  key: string,
  outcome: Outcome,
  { serializer, maxResultBytes }: Pick<ResolvedFlightOptions, 'serializer' | 'maxResultBytes'>,
  storable = Infinity,
): Packed {
  let text: string;
  try {
    text = outcome.isError
      ? textOfError(outcome.error)
      : VALUE + textOf(serializer.serialize(outcome.value));
  } catch (error) {
    return refuse(key, `it cannot be serialized (${detailOf(error)})`, error);
  }
  const limit = Math.min(maxResultBytes, storable);
  if (text.length * MOST_BYTES_A_UNIT <= limit) return { payload: text };
  const bytes = Buffer.byteLength(text) - 1;
  if (bytes <= limit) return { payload: text };
  const rule =
    bytes > storable
      ? `the store takes ${storable}: return less`
      : `\`maxResultBytes\` is ${maxResultBytes}: return less, or raise it`;
  return refuse(key, `it has ${bytes} bytes, and ${rule}`);
}

/** The outcome that another process packed. Never throws. */
export function unpack(key: string, payload: string, serializer: SingleFlightSerializer): Outcome {
  const text = payload.slice(1);
  try {
    switch (payload[0]) {
      case VALUE:
        return { isError: false, value: valueOf(serializer.deserialize(text)) };
      case ERROR:
        return { isError: true, error: withOwnClass(superjsonSerializer.deserialize(text)) };
      case HTTP_ERROR:
        return {
          isError: true,
          error: toHttpError(superjsonSerializer.deserialize(text) as HttpErrorText),
        };
      case TRANSPORT_ERROR:
        return {
          isError: true,
          ...(superjsonSerializer.deserialize(text) as TransportErrorText),
        };
      default:
        return { isError: true, error: new ResultNotSharedError(key, text) };
    }
  } catch (error) {
    const detail = `it cannot be deserialized (${detailOf(error)}): use the same serializer in all processes`;
    const unreadable = new ResultNotSharedError(key, detail, error);
    return { isError: true, error: unreadable, isUnreadable: true };
  }
}

function textOfError(error: unknown): string {
  if (isHttpException(error)) {
    return HTTP_ERROR + superjsonSerializer.serialize(describeHttpError(error));
  }
  const transportClass = transportClassOf(error);
  return transportClass === undefined
    ? ERROR + superjsonSerializer.serialize(error)
    : TRANSPORT_ERROR + superjsonSerializer.serialize({ error, transportClass });
}

/** @throws for a serializer that makes no text of some values, as JSON does of undefined, or is asynchronous */
function textOf(text: unknown): string {
  if (typeof text === 'string') return text;
  ignoreFailureOf(text);
  throw new TypeError(
    `its serializer made ${text === null ? 'null' : typeof text} of it, no string`,
  );
}

/** @throws for a serializer that is asynchronous: nobody may be there who would hear of its failure */
function valueOf(value: unknown): unknown {
  if (!types.isPromise(value)) return value;
  ignoreFailureOf(value);
  throw new TypeError('its serializer made a promise of it');
}

/** What a serializer made is not waited for: nobody hears what becomes of it, and it must not end the process. */
function ignoreFailureOf(made: unknown): void {
  if (types.isPromise(made)) made.catch(() => undefined);
}

function refuse(key: string, detail: string, cause?: unknown): Packed {
  return { payload: REFUSAL + detail, refusal: new ResultNotSharedError(key, detail, cause) };
}
