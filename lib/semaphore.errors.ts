/** Base of every error of this library: `code` says which one it is, `key` which semaphore it is about. */
export abstract class SemaphoreError extends Error {
  /** Stable, machine-readable name of the error, for example `SEMAPHORE_TIMEOUT`. */
  abstract readonly code: string;

  /** The semaphore's key; undefined when the error is about no key in particular. */
  readonly key: string | undefined;

  constructor(message: string, key?: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
    this.key = key;
  }
}

/** Why no permit could be had: taken, not free in time, or too many wait already. */
export type UnavailableReason = 'busy' | 'timeout' | 'queue-full';

const WHY_UNAVAILABLE: Record<UnavailableReason, string> = {
  busy: 'all permits are taken and `waitMs` is 0',
  timeout: 'no permit became free in time',
  'queue-full': 'as many callers wait already as `maxWaiting` allows',
};

const CODES = {
  busy: 'SEMAPHORE_BUSY',
  timeout: 'SEMAPHORE_TIMEOUT',
  'queue-full': 'SEMAPHORE_QUEUE_FULL',
} as const;

/** No permit was free, or none became free in time. Nothing is held. */
export class PermitUnavailableError extends SemaphoreError {
  readonly code: 'SEMAPHORE_BUSY' | 'SEMAPHORE_TIMEOUT' | 'SEMAPHORE_QUEUE_FULL';

  /** @param details what was asked for, to be shown in the message */
  constructor(
    key: string,
    /** Why there was none. */
    readonly reason: UnavailableReason,
    /** When a new try may succeed, in milliseconds: an estimate, never a promise. */
    readonly retryAfterMs: number,
    details: { permits: number; weight: number; waitMs: number; maxWaiting: number },
  ) {
    super(
      `No permit of semaphore "${key}": ${WHY_UNAVAILABLE[reason]} ` +
        `(permits ${details.permits}, weight ${details.weight}, waitMs ${details.waitMs}, maxWaiting ${details.maxWaiting}). ` +
        `Try again in about ${Math.ceil(retryAfterMs)} ms, or raise \`permits\`, \`waitMs\` or \`maxWaiting\`.`,
      key,
    );
    this.code = CODES[reason];
  }
}

/** Why a held permit is no longer held: its lease ended, or somebody released it by force. */
export type LostReason = 'expired' | 'forced';

const WHY_LOST: Record<LostReason | 'released', string> = {
  expired:
    'is not held any more: its lease ended before it was renewed, or the store was ' +
    'out of reach for too long or lost it (a restart, FLUSHALL, a failover). Another caller may hold it now. ' +
    'Stop the work that it protects; use a longer `leaseMs` or a fencing token where that is not enough.',
  forced:
    'was released by force, or its caller was dropped from the queue. Stop the work that it protects.',
  released:
    'was released by its own holder, or with the work that held it. Another caller may hold it now. ' +
    'Release it when all work that it protects is over, and acquire again for more.',
};

/** The permit is no longer held: others may have it. Reason of `permit.signal`; stop the work it protects. */
export class PermitLostError extends SemaphoreError {
  readonly code = 'SEMAPHORE_PERMIT_LOST';

  constructor(
    key: string,
    /** The `id` of the permit. */
    readonly permitId: string,
    /** 'released': it was not lost, but its holder gave it back before it was asked for something. */
    readonly reason: LostReason | 'released',
  ) {
    super(`Permit ${permitId} of semaphore "${key}" ${WHY_LOST[reason]}`, key);
  }
}

/** Why this library gave up a wait that nobody had passed a `signal` for. */
export class WaitEnded extends Error {}

/**
 * The caller's own signal ended the wait: `cause` is the signal's reason. Or its scope, or the request that it belonged to, was
 * over: `cause` says so. Nothing is held.
 */
export class AcquireAbortedError extends SemaphoreError {
  readonly code = 'SEMAPHORE_ABORTED';

  constructor(key: string, cause: unknown) {
    const why = cause instanceof WaitEnded ? cause.message : "The caller's `signal` was aborted.";
    super(`Waiting for semaphore "${key}" was given up. ${why}`, key, { cause });
  }
}

/** The store did not answer in time, or answered with an error. `cause` is what it said. */
export class StoreUnavailableError extends SemaphoreError {
  readonly code = 'SEMAPHORE_STORE_UNAVAILABLE';

  constructor(
    /** What happened, as a part of the message. */
    readonly detail: string,
    key?: string,
    cause?: unknown,
    /** The store has certainly not done what it was asked for. */
    readonly nothingDone = false,
  ) {
    super(
      `The store of the semaphores is not available${key === undefined ? '' : ` (semaphore "${key}")`}: ${detail}. ` +
        'Check the connection to it, or choose `onStoreFailure`.',
      key,
      cause === undefined ? undefined : { cause },
    );
  }

  /** The same error for one of the keys that it is about: calls of many keys fail together. */
  of(key: string): StoreUnavailableError {
    if (this.key === key) return this;
    return new StoreUnavailableError(this.detail, key, this.cause, this.nothingDone);
  }
}

/** Whether the store has certainly not done what it was asked for. */
export function isNothingDone(error: unknown): boolean {
  return error instanceof StoreUnavailableError && error.nothingDone;
}

/** What an error says, to stand within another message. */
export function detailOf(error: unknown): string {
  if (error instanceof StoreUnavailableError) return error.detail;
  if (error instanceof Error) return error.message;
  try {
    return String(error);
  } catch {
    return Object.prototype.toString.call(error);
  }
}

/** Where an error comes from, for a log; of anything else that was thrown what it says. */
export function stackOf(error: unknown): string | undefined {
  return error instanceof Error ? error.stack : detailOf(error);
}

/** Whatever was thrown, as an error. */
export function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(detailOf(error));
}

/** What the store could not do, as the error for one key. */
export function asStoreError(key: string, cause: unknown): StoreUnavailableError {
  if (cause instanceof StoreUnavailableError) return cause.of(key);
  return new StoreUnavailableError(detailOf(cause), key, cause);
}

/** The service shuts down: it takes no new acquisitions, and its waiters get this error. */
export class SemaphoreClosedError extends SemaphoreError {
  readonly code = 'SEMAPHORE_CLOSED';

  constructor(key?: string) {
    super(
      `The semaphore service is closed${key === undefined ? '' : ` (semaphore "${key}")`}: the application shuts down. ` +
        'Acquire from another instance.',
      key,
    );
  }
}

const NO_SCOPE = {
  none: 'was called outside of a scope. Call it within the task of `scope`, in a handler with @Semaphore(), or behind SemaphoreInterceptor or semaphoreMiddleware.',
  ended:
    'was called after its scope had ended: the task, or the request, was over. Await what calls it before that.',
};

const BEGUN_LATE =
  'The Observable of a scope was subscribed to after its last subscription, and the scope, had ended. Retry within the task.';

/** `use` was called, or work of a scope begun, where there is no scope, or no longer one. Nothing is held. */
export class ScopeError extends SemaphoreError {
  readonly code = 'SEMAPHORE_NO_SCOPE';

  /**
   * @param key what `use` was called for; undefined when it was an Observable that was subscribed to
   */
  constructor(
    /** 'none': there never was a scope. 'ended': it is over. */
    readonly reason: 'none' | 'ended',
    key?: string,
  ) {
    super(key === undefined ? BEGUN_LATE : `use of semaphore "${key}" ${NO_SCOPE[reason]}`, key);
  }
}

/** A caller of a single flight got no result within its `timeoutMs`. The others, and the work, are not disturbed. */
export class SingleFlightTimeoutError extends SemaphoreError {
  readonly code = 'SINGLE_FLIGHT_TIMEOUT';

  constructor(
    key: string,
    /** How long it waited. */
    readonly timeoutMs: number,
  ) {
    super(
      `No result of single flight "${key}" within ${timeoutMs} ms. ` +
        'Try again later, or raise `timeoutMs`: the work may still be under way for other callers.',
      key,
    );
  }
}

/**
 * The caller's own signal ended its wait for a single flight: `cause` is the signal's reason. Or the reason of the signal that
 * the work was given: every caller has gone.
 */
export class SingleFlightAbortedError extends SemaphoreError {
  readonly code = 'SINGLE_FLIGHT_ABORTED';

  /** @param detail why, as a part of the message */
  constructor(key: string, cause?: unknown, detail = "the caller's `signal` was aborted") {
    super(
      `Single flight "${key}" was given up: ${detail}.`,
      key,
      cause === undefined ? undefined : { cause },
    );
  }
}

/** The work was done, but its result cannot go to callers other than the one whose work it was. */
export class ResultNotSharedError extends SemaphoreError {
  readonly code = 'SINGLE_FLIGHT_RESULT_NOT_SHARED';

  constructor(
    key: string,
    /** Why, as a part of the message. */
    readonly detail: string,
    cause?: unknown,
  ) {
    super(
      `The result of single flight "${key}" went only to the caller that did the work: ${detail}.`,
      key,
      cause === undefined ? undefined : { cause },
    );
  }
}

/** An option has a value that its rule forbids. Thrown before anything is acquired. */
export class InvalidOptionsError extends SemaphoreError {
  readonly code = 'SEMAPHORE_INVALID_OPTIONS';

  /**
   * The value it was given; the user, the password and the query of a URL are left out. An object is not enumerable here: loggers print
   * what is, and a refused argument may be a whole request.
   */
  declare readonly value: unknown;

  constructor(
    /** Name of the option. */
    readonly option: string,
    value: unknown,
    /** What it must be, to follow "Expected `option` to be". */
    readonly rule: string,
    key?: string,
    /** Where the options stand, to precede that; undefined when the call itself tells. */
    readonly where?: string,
  ) {
    const shown = withoutSecrets(value);
    const place = where === undefined ? '' : `${where}: `;
    super(`${place}Expected \`${option}\` to be ${rule}, got ${describe(shown)}`, key);
    const enumerable = shown === null || typeof shown !== 'object';
    Object.defineProperty(this, 'value', { value: shown, enumerable });
  }

  /** The same error of a call that names a key, unless it is about the key itself. @param what the key is of */
  of(key: unknown, what = 'Semaphore'): InvalidOptionsError {
    const first: unknown = Array.isArray(key) ? key[0] : key;
    if (typeof first !== 'string' || this.option === 'key' || this.key !== undefined) return this;
    return new InvalidOptionsError(this.option, this.value, this.rule, first, `${what} "${first}"`);
  }
}

/** The errors that tell a client to try again later. The others are faults of the application. */
export const RETRIABLE_ERRORS = [
  PermitUnavailableError,
  StoreUnavailableError,
  SemaphoreClosedError,
  AcquireAbortedError,
  SingleFlightTimeoutError,
  SingleFlightAbortedError,
] as const;

/** An error that tells a client to try again later, as `SemaphoreExceptionFilter` gets it. */
export type RetriableError = InstanceType<(typeof RETRIABLE_ERRORS)[number]>;

export function isRetriable(error: unknown): error is RetriableError {
  return RETRIABLE_ERRORS.some((type) => error instanceof type);
}

/** Leaves out the user and the password of a URL, also of one that lacks its scheme, and the values of its query. */
function withoutSecrets(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  const hidden = value.replace(/^(\W?\w+:\/\/)?.*@/s, '$1***@');
  // Not by a pattern that may begin at each of many slashes: keys come with requests, and may be long.
  const authority = hidden.indexOf('//');
  const query = authority === -1 ? -1 : hidden.indexOf('?', authority);
  return query === -1 ? hidden : `${hidden.slice(0, query)}?***`;
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return `\`${String(value)}\``;
  if (typeof value === 'string') {
    return `${JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value)} (string)`;
  }
  if (Array.isArray(value))
    return value.length === 0 ? 'an empty array' : `an array of ${value.length}`;
  if (typeof value === 'object') return `${Object.prototype.toString.call(value)} (object)`;
  if (typeof value === 'function') return `${value.name || 'anonymous'} (function)`;
  return `\`${String(value)}\` (${typeof value})`;
}
