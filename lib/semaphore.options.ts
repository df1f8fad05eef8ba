import type { CancelSignal } from './core/abandonment.js';
import {
  ABORT_SIGNAL,
  duration,
  flag,
  isObject,
  merge,
  oneOf,
  orInfinity,
  type Rule,
  wholeNumber,
} from './option-rules.js';
import { InvalidOptionsError } from './semaphore.errors.js';
import type { SemaphoreEvent, SemaphoreEventType } from './semaphore.events.js';
import { type SemaphoreStore, TOKENS_A_GRANT } from './store/semaphore-store.js';

/** What to do when the store cannot be reached: fail, run unguarded, or count within this process. */
export type OnStoreFailure = 'reject' | 'allow' | 'local';

/**
 * How one semaphore behaves. Each level overrides the one before:
 * module `defaults`, then `forFeature` or the decorator, then the single call.
 */
export interface SemaphoreOptions {
  /**
   * How many units there are in all; 1 is a mutex. A whole number >= 1.
   * When processes pass different numbers, the one that the store saw last holds.
   * @default 1
   */
  permits?: number | undefined;
  /**
   * How many units one acquisition takes. A whole number from 1 to `permits`.
   * @default 1
   */
  weight?: number | undefined;
  /**
   * How long to stand in the queue, in milliseconds; 0 never waits, Infinity waits for ever.
   * @default 10_000
   */
  waitMs?: number | undefined;
  /**
   * How many may wait across all processes; beyond it acquire rejects at once. A whole number >= 0, or Infinity.
   * @default Infinity
   */
  maxWaiting?: number | undefined;
  /**
   * Higher is served first, FIFO within one priority. A whole number from -100,000 to 100,000.
   * @default 0
   */
  priority?: number | undefined;
  /**
   * How long a permit stays valid without a renewal, in milliseconds, at least 1.
   * Infinity fails closed: a crashed holder keeps its permit until it is released by force.
   * @default 30_000
   */
  leaseMs?: number | undefined;
  /**
   * Keep the lease alive while the permit is held.
   * @default true
   */
  renew?: boolean | undefined;
  /**
   * Stop renewing this long after the acquisition, in milliseconds > 0.
   * @default Infinity
   */
  maxHoldMs?: number | undefined;
  /**
   * A released permit stays taken until this long after its acquisition, in milliseconds >= 0: for jobs that
   * run once at a time of the clock, on machines whose clocks differ.
   * @default 0
   */
  holdAtLeastMs?: number | undefined;
  /**
   * Inside an async context that already holds the key, take no second permit.
   * @default false
   */
  reentrant?: boolean | undefined;
  /**
   * How often a released permit may pass to a waiter of the same process before it goes back to the global queue: throughput
   * against global FIFO. For 20 ms at most, and only where the permit is the only one (`weight` = `permits`, as in a mutex),
   * so that fencing tokens go on growing. A whole number from 0 to 999.
   * @default 0
   */
  localPasses?: number | undefined;
  /**
   * When the store cannot be reached: 'reject' with StoreUnavailableError, 'allow' the work unguarded, or fall back to
   * a limit of `permits` within this process ('local'). The permit is then `degraded`.
   * @default 'reject'
   */
  onStoreFailure?: OnStoreFailure | undefined;
  /** Shown by `inspect()` and the dashboard. At most 256 characters. */
  label?: string | undefined;
  /**
   * What telemetry calls the semaphore: one of a few names, never one made from data, as keys are. Non-empty, at most
   * 512 characters. Semaphores of `forFeature` have theirs, and decorated methods have their key, or where that is
   * computed 'ClassName.methodName'.
   * @default 'unnamed'
   */
  name?: string | undefined;
}

/** Options of one call. */
export interface AcquireOptions extends SemaphoreOptions {
  /** Gives up waiting: the call rejects with AcquireAbortedError. */
  signal?: AbortSignal | undefined;
}

/** An ioredis `Redis` or `Cluster` of any copy of ioredis 5 or 6: known by its shape. */
export interface RedisInstance {
  readonly status: string;
  duplicate(...args: never[]): unknown;
}

/** Options as ioredis takes them; Sentinel options included. */
export interface RedisConnectionOptions {
  host?: string | undefined;
  port?: number | undefined;
  path?: string | undefined;
  username?: string | undefined;
  password?: string | undefined;
  db?: number | undefined;
  tls?: object | undefined;
  sentinels?: { host?: string; port?: number }[] | undefined;
  name?: string | undefined;
  [option: string]: unknown;
}

/** How to reach Redis: a URL, ioredis options, or an ioredis instance, whose settings are used for connections of our own. */
export type RedisConnection = string | RedisInstance | RedisConnectionOptions | object;

/** What goes to the Nest logger: nothing, failures and lost permits, or every event. */
export type LogLevel = 'none' | 'problems' | 'all';

/** What is logged, and where to. */
export interface LogOptions {
  /** @default 'problems' */
  level?: LogLevel | undefined;
  /** Kinds of events that are logged, or not, whatever the level says. */
  events?: Partial<Record<SemaphoreEventType, boolean>> | undefined;
  /**
   * Gets what is logged, instead of the Nest logger. When it throws or rejects, nothing but a line in that logger comes of it.
   * @default the Nest logger
   */
  sink?: ((event: SemaphoreEvent, message: string) => unknown) | undefined;
}

/** HTTP status codes of the errors. */
export interface StatusCodes {
  /** @default 429 */
  busy?: number | undefined;
  /** @default 429 */
  timeout?: number | undefined;
  /** @default 503 */
  queueFull?: number | undefined;
  /** The store is down, or the service is shutting down. @default 503 */
  unavailable?: number | undefined;
}

/** Options of `SemaphoreModule.forRoot()` and of `new SemaphoreService()`. */
export interface SemaphoreModuleOptions {
  /** Where Redis is. Without `redis` and `store` the semaphores live in this process's memory. */
  redis?: RedisConnection | undefined;
  /** Another store. Excludes `redis`. */
  store?: SemaphoreStore | undefined;
  /**
   * What every Redis key and channel begins with. No braces.
   * @default 'semaphore'
   */
  keyPrefix?: string | undefined;
  /** Options of every semaphore that says nothing else. */
  defaults?: SemaphoreOptions | undefined;
  /**
   * How long one call to the store may take before StoreUnavailableError, in milliseconds.
   * @default 5000
   */
  storeTimeoutMs?: number | undefined;
  /**
   * How many replicas must have confirmed a grant. 0 does not wait.
   * @default 0
   */
  minReplicas?: number | undefined;
  /**
   * How long to wait for them, in milliseconds.
   * @default 1000
   */
  replicaTimeoutMs?: number | undefined;
  /**
   * What is logged: a level, or {@link LogOptions}. `SemaphoreService.setLog()` changes it later.
   * @default 'problems'
   */
  log?: LogLevel | LogOptions | undefined;
  /**
   * Metrics and spans through `@opentelemetry/api`, where that is installed. A metrics SDK has to be registered before.
   * @default true
   */
  telemetry?: boolean | undefined;
  /** HTTP status codes of the errors, where 429 and 503 do not fit. */
  statusCodes?: StatusCodes | undefined;
}

/** Every option with its value. */
export type ResolvedOptions = Required<Omit<SemaphoreOptions, 'label'>> & {
  label: string | undefined;
  signal: CancelSignal | undefined;
};

/** The module's options with their values. */
export type ResolvedModuleOptions = Required<
  Omit<SemaphoreModuleOptions, 'redis' | 'store' | 'statusCodes'>
> & {
  redis: RedisConnection | undefined;
  store: SemaphoreStore | undefined;
  statusCodes: Required<StatusCodes>;
};

/** {@link LogOptions} with their values. */
export type ResolvedLog = Required<Omit<LogOptions, 'sink'>> & Pick<LogOptions, 'sink'>;

const DEFAULTS: ResolvedOptions = Object.freeze({
  permits: 1,
  weight: 1,
  waitMs: 10_000,
  maxWaiting: Infinity,
  priority: 0,
  leaseMs: 30_000,
  renew: true,
  maxHoldMs: Infinity,
  holdAtLeastMs: 0,
  reentrant: false,
  localPasses: 0,
  onStoreFailure: 'reject',
  label: undefined,
  name: 'unnamed',
  signal: undefined,
});

const MODULE_DEFAULTS: ResolvedModuleOptions = Object.freeze({
  redis: undefined,
  store: undefined,
  keyPrefix: 'semaphore',
  defaults: Object.freeze({}),
  storeTimeoutMs: 5000,
  minReplicas: 0,
  replicaTimeoutMs: 1000,
  log: 'problems',
  telemetry: true,
  statusCodes: Object.freeze({ busy: 429, timeout: 429, queueFull: 503, unavailable: 503 }),
});

const LOG_DEFAULTS: ResolvedLog = Object.freeze({ level: 'problems', events: Object.freeze({}) });

const MAX_KEY_BYTES = 512;
const MAX_LABEL_LENGTH = 256;
const MAX_NAME_LENGTH = 512;
const MAX_PRIORITY = 100_000;
const OPTION_RULES: Record<keyof AcquireOptions, Rule> = {
  permits: wholeNumber(1),
  weight: wholeNumber(1),
  waitMs: orInfinity(duration(0)),
  maxWaiting: orInfinity(wholeNumber(0)),
  priority: wholeNumber(-MAX_PRIORITY, MAX_PRIORITY),
  leaseMs: orInfinity(duration(1)),
  renew: flag,
  maxHoldMs: orInfinity(duration(1)),
  holdAtLeastMs: duration(0),
  reentrant: flag,
  localPasses: wholeNumber(0, TOKENS_A_GRANT - 1),
  onStoreFailure: oneOf('reject', 'allow', 'local'),
  label: {
    text: `a string of at most ${MAX_LABEL_LENGTH} characters`,
    holds: (value) => typeof value === 'string' && value.length <= MAX_LABEL_LENGTH,
  },
  name: {
    text: `a non-empty string of at most ${MAX_NAME_LENGTH} characters`,
    holds: (value) =>
      typeof value === 'string' && value.length > 0 && value.length <= MAX_NAME_LENGTH,
  },
  signal: ABORT_SIGNAL,
};

const LOG_LEVEL = oneOf('none', 'problems', 'all');

const LOG_RULES: Record<keyof LogOptions, Rule> = {
  level: LOG_LEVEL,
  events: { text: 'an object of kinds of events with true or false', holds: isObject },
  sink: { text: 'a function', holds: (value) => typeof value === 'function' },
};

const LOG_EVENT_RULES: Record<SemaphoreEventType, Rule> = {
  waiting: flag,
  acquired: flag,
  rejected: flag,
  renewed: flag,
  lost: flag,
  released: flag,
  'permits-changed': flag,
  'refresh-failed': flag,
  'store-down': flag,
  'store-up': flag,
};

const STATUS_CODE = wholeNumber(400, 599);

const STATUS_CODE_RULES: Record<keyof StatusCodes, Rule> = {
  busy: STATUS_CODE,
  timeout: STATUS_CODE,
  queueFull: STATUS_CODE,
  unavailable: STATUS_CODE,
};

/** What ioredis would take without a word, and connect to its default instead. */
function isRedisConnection(value: unknown): boolean {
  if (typeof value === 'string') return /^rediss?:\/\/./.test(value) && URL.canParse(value);
  if (!isObject(value) || Array.isArray(value) || 'url' in value) return false;
  const { port } = value as { port?: unknown };
  return (
    port === undefined ||
    port === null ||
    PORT.holds(typeof port === 'string' ? Number(port) : port)
  );
}

const PORT = wholeNumber(0, 65_535);

const MODULE_RULES: Record<keyof SemaphoreModuleOptions, Rule> = {
  redis: {
    text: 'a Redis URL (redis:// or rediss://), ioredis options (`host`, `port`, …; no `url`), or an ioredis instance',
    holds: isRedisConnection,
  },
  store: {
    text: 'a SemaphoreStore',
    holds: (value) => isObject(value) && typeof (value as SemaphoreStore).connect === 'function',
  },
  keyPrefix: {
    text: 'a non-empty string of at most 128 characters without braces',
    holds: (value) => typeof value === 'string' && /^[^{}]{1,128}$/su.test(value),
  },
  defaults: { text: 'an object of semaphore options', holds: isObject },
  storeTimeoutMs: duration(1),
  minReplicas: wholeNumber(0, 100),
  replicaTimeoutMs: duration(1),
  log: {
    text: `${LOG_LEVEL.text}, or an object of log options`,
    holds: (value) => LOG_LEVEL.holds(value) || (isObject(value) && !Array.isArray(value)),
  },
  telemetry: flag,
  statusCodes: { text: 'an object of HTTP status codes', holds: isObject },
};

/**
 * The levels of options, later ones winning, with defaults for the rest. Undefined says nothing. Changes none of them.
 * @throws {InvalidOptionsError} naming the option, the value and the rule
 */
export function resolveOptions(
  ...levels: readonly (AcquireOptions | undefined)[]
): ResolvedOptions {
  const resolved = merge(DEFAULTS, OPTION_RULES, levels);
  if (resolved.weight > resolved.permits) {
    throw new InvalidOptionsError(
      'weight',
      resolved.weight,
      `at most \`permits\` (${resolved.permits})`,
    );
  }
  return resolved;
}

/** The options of a call on top of those of its semaphore. Undefined says nothing; nothing is checked. */
export function overlay(
  base: AcquireOptions | undefined,
  call: AcquireOptions | undefined,
): AcquireOptions | undefined {
  if (call === undefined) return base;
  // What is not even an object is for resolveOptions to refuse.
  if (base === undefined || typeof call !== 'object' || call === null) return call;
  const said = Object.entries(call).filter(([, value]) => value !== undefined);
  return { ...base, ...Object.fromEntries(said) };
}

/**
 * Checks options that are to be merged later, when a weight may still meet its permits.
 * @throws {InvalidOptionsError}
 */
export function validateOptions(options: SemaphoreOptions): void {
  merge(DEFAULTS, OPTION_RULES, [options]);
  if ('signal' in options) {
    throw new InvalidOptionsError(
      'signal',
      options.signal,
      'left out: it is of a single call only',
    );
  }
  if (options.permits !== undefined) resolveOptions(options);
}

/** @throws {InvalidOptionsError} */
export function resolveModuleOptions(options: SemaphoreModuleOptions = {}): ResolvedModuleOptions {
  const resolved = merge(MODULE_DEFAULTS, MODULE_RULES, [options]);
  if (resolved.redis !== undefined && resolved.store !== undefined) {
    throw new InvalidOptionsError('store', resolved.store, 'left out when `redis` is given');
  }
  validateOptions(resolved.defaults);
  resolveLog(resolved.log);
  resolved.statusCodes = merge(MODULE_DEFAULTS.statusCodes, STATUS_CODE_RULES, [
    resolved.statusCodes,
  ]);
  return resolved;
}

/** @throws {InvalidOptionsError} */
export function resolveLog(log: LogLevel | LogOptions): ResolvedLog {
  if (!MODULE_RULES.log.holds(log)) {
    throw new InvalidOptionsError('log', log, MODULE_RULES.log.text);
  }
  const resolved = merge(LOG_DEFAULTS, LOG_RULES, [typeof log === 'object' ? log : { level: log }]);
  resolved.events = merge<ResolvedLog['events']>({}, LOG_EVENT_RULES, [resolved.events]);
  return resolved;
}

/** @throws {InvalidOptionsError} */
export function validateKey(key: unknown): asserts key is string {
  // A UTF-16 unit has at most three bytes in UTF-8: most keys need no counting.
  if (typeof key === 'string' && key.length > 0) {
    if (key.length * 3 <= MAX_KEY_BYTES || Buffer.byteLength(key) <= MAX_KEY_BYTES) return;
  }
  throw new InvalidOptionsError('key', key, `a non-empty string of at most ${MAX_KEY_BYTES} bytes`);
}

/** A limit for `setPermits`. @throws {InvalidOptionsError} */
export function validatePermits(permits: unknown, key: string): void {
  if (permits === null || OPTION_RULES.permits.holds(permits)) return;
  throw new InvalidOptionsError('permits', permits, `${OPTION_RULES.permits.text}, or null`, key);
}

/** How long a health check may take. @throws {InvalidOptionsError} */
export function validateTimeout(timeoutMs: unknown): void {
  const rule = duration(1);
  if (!rule.holds(timeoutMs)) throw new InvalidOptionsError('timeoutMs', timeoutMs, rule.text);
}

/** A lease for `permit.renew`. @throws {InvalidOptionsError} */
export function validateLease(leaseMs: unknown, key: string): void {
  if (OPTION_RULES.leaseMs.holds(leaseMs)) return;
  throw new InvalidOptionsError('leaseMs', leaseMs, OPTION_RULES.leaseMs.text, key);
}
