import {
  ABORT_SIGNAL,
  duration,
  isObject,
  merge,
  oneOf,
  orInfinity,
  refuseSignal,
  requireObject,
  type Rule,
  wholeNumber,
} from '../option-rules.js';
import { superjsonSerializer } from './superjson.serializer.js';

/** Turns results into text for the store and for other processes, and back, at once: neither may return a promise. */
export interface SingleFlightSerializer {
  /** The text of a result. @throws when the value cannot be had back as it is */
  serialize(value: unknown): string;
  /** Must not execute anything that the text contains. */
  deserialize(text: string): unknown;
}

/** How calls of one single flight behave. Of callers that join, each brings its own `timeoutMs`; the rest is the first one's. */
export interface SingleFlightOptions {
  /**
   * For how long the result is kept for later callers, in milliseconds. 0: only for those who wait for it.
   * @default 0
   */
  ttlMs?: number | undefined;
  /**
   * For how long after `ttlMs`, unless that is 0, the old result is still served, in milliseconds, while one caller's work
   * makes a new one in the background.
   * @default 0
   */
  staleWhileRevalidateMs?: number | undefined;
  /**
   * Makes each `ttlMs` shorter by a random part of up to this share, from 0 to 1: results that were made together do not
   * expire together.
   * @default 0
   */
  jitter?: number | undefined;
  /**
   * For how long an error is kept for later callers, in milliseconds. 0: only for those who wait.
   * @default 0
   */
  cacheErrorsMs?: number | undefined;
  /**
   * How long a caller waits for the result, in milliseconds, at least 1. It then gets SingleFlightTimeoutError; nobody else notices.
   * @default Infinity
   */
  timeoutMs?: number | undefined;
  /**
   * How soon another caller takes over when the process that does the work is gone, in milliseconds, at least 1. Renewed
   * while the work goes on.
   * @default 10_000
   */
  leaseMs?: number | undefined;
  /**
   * A longer result, in bytes once it is serialized, goes to nobody but the caller that did the work.
   * @default 4_194_304
   */
  maxResultBytes?: number | undefined;
  /** Makes text of results. @default superjson, without classes of the application */
  serializer?: SingleFlightSerializer | undefined;
  /**
   * When the store cannot be reached: 'reject' with StoreUnavailableError, or 'allow' each process to do the work for its
   * own callers.
   * @default 'reject'
   */
  onStoreFailure?: 'reject' | 'allow' | undefined;
}

/** Options of one call. */
export interface RunOptions extends SingleFlightOptions {
  /** Gives up waiting for the result: the call rejects with SingleFlightAbortedError. */
  signal?: AbortSignal | undefined;
}

/** Options of `wrap()`. */
export interface WrapOptions extends SingleFlightOptions {
  /**
   * What the function is called in the store. Calls with other arguments are other flights.
   * @default the function's name
   */
  key?: string | undefined;
}

export type ResolvedFlightOptions = Required<SingleFlightOptions> & {
  signal: AbortSignal | undefined;
};

const DEFAULTS: ResolvedFlightOptions = Object.freeze({
  ttlMs: 0,
  staleWhileRevalidateMs: 0,
  jitter: 0,
  cacheErrorsMs: 0,
  timeoutMs: Infinity,
  leaseMs: 10_000,
  maxResultBytes: 4 * 1024 * 1024,
  serializer: superjsonSerializer,
  onStoreFailure: 'reject',
  signal: undefined,
});

const RULES: Record<keyof SingleFlightOptions, Rule> = {
  ttlMs: duration(0),
  staleWhileRevalidateMs: duration(0),
  jitter: {
    text: 'a number from 0 to 1',
    holds: (value) => typeof value === 'number' && value >= 0 && value <= 1,
  },
  cacheErrorsMs: duration(0),
  timeoutMs: orInfinity(duration(1)),
  leaseMs: duration(1),
  maxResultBytes: wholeNumber(1),
  serializer: {
    text: 'an object with `serialize` and `deserialize`',
    holds: (value) =>
      isObject(value) &&
      typeof (value as SingleFlightSerializer).serialize === 'function' &&
      typeof (value as SingleFlightSerializer).deserialize === 'function',
  },
  onStoreFailure: oneOf('reject', 'allow'),
};

const RUN_RULES: Record<keyof RunOptions, Rule> = { ...RULES, signal: ABORT_SIGNAL };

/** @throws {InvalidOptionsError} naming the option, the value and the rule */
export function resolveFlightOptions(options: RunOptions | undefined): ResolvedFlightOptions {
  return merge(DEFAULTS, RUN_RULES, [options]);
}

/**
 * Checks options of all calls of a function or a method.
 * @param key what it must be, where it is given with them
 * @throws {InvalidOptionsError}
 */
export function validateFlightOptions(options: SingleFlightOptions, key: Rule): void {
  requireObject(options);
  refuseSignal(options);
  merge(DEFAULTS, { key, ...RULES }, [options]);
}
