import type { CancelSignal } from './cancel/cancel-signal.js';
import { MAX_KEY_BYTES, MAX_LABEL_LENGTH, MAX_PRIORITY, PERMIT_ID } from './limits.js';
import {
  ABORT_SIGNAL,
  aFunction,
  checkedAt,
  duration,
  flag,
  isObject,
  merge,
  oneOf,
  orInfinity,
  refuseSignal,
  requireObject,
  type Rule,
  wholeNumber,
} from './option-rules.js';
import { InvalidOptionsError } from './semaphore.errors.js';
import type { SemaphoreEventType } from './semaphore.events.js';
import type {
  LogLevel,
  LogOptions,
  RedisConnection,
  SemaphoreDefaults,
  SemaphoreModuleOptions,
  SemaphoreOptions,
  StatusCodes,
} from './semaphore.options.js';
import { REDIS_DEFAULTS, REDIS_RULES } from './store/redis/redis.options.js';
import { type SemaphoreStore, TOKENS_A_GRANT } from './store/semaphore-store.js';

/** Every option with its value. */
export type ResolvedOptions = Required<Omit<SemaphoreDefaults, 'label'>> & {
  label: string | undefined;
  signal: CancelSignal | undefined;
};

/** The module's options with their values. */
export type ResolvedModuleOptions = Required<
  Omit<SemaphoreModuleOptions, 'redis' | 'store' | 'log' | 'statusCodes'>
> & {
  redis: RedisConnection | undefined;
  store: SemaphoreStore | undefined;
  log: ResolvedLog;
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

const LOG_DEFAULTS: ResolvedLog = Object.freeze({ level: 'problems', events: Object.freeze({}) });

const MODULE_DEFAULTS: ResolvedModuleOptions = Object.freeze({
  ...REDIS_DEFAULTS,
  redis: undefined,
  store: undefined,
  defaults: Object.freeze({}),
  log: LOG_DEFAULTS,
  telemetry: true,
  statusCodes: Object.freeze({ busy: 429, timeout: 429, queueFull: 503, unavailable: 503 }),
});

const KEY_RULE = `a non-empty string of well-formed Unicode, at most ${MAX_KEY_BYTES} bytes`;
const MAX_NAME_LENGTH = 512;
const OPTION_RULES: Record<keyof SemaphoreDefaults, Rule> = {
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
    text: `a string of well-formed Unicode, at most ${MAX_LABEL_LENGTH} characters`,
    holds: (value) =>
      typeof value === 'string' && value.length <= MAX_LABEL_LENGTH && value.isWellFormed(),
  },
  name: {
    text: `a non-empty string of at most ${MAX_NAME_LENGTH} characters`,
    holds: (value) =>
      typeof value === 'string' && value.length > 0 && value.length <= MAX_NAME_LENGTH,
  },
};

const CALL_RULES: Record<keyof SemaphoreOptions, Rule> = { ...OPTION_RULES, signal: ABORT_SIGNAL };

const LOG_LEVEL = oneOf('none', 'problems', 'all');

const LOG_RULES: Record<keyof LogOptions, Rule> = {
  level: LOG_LEVEL,
  events: { text: 'an object of kinds of events with true or false', holds: isObject },
  sink: aFunction,
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

const MODULE_RULES: Record<keyof SemaphoreModuleOptions, Rule> = {
  ...REDIS_RULES,
  store: {
    text: 'a SemaphoreStore',
    holds: (value) => isObject(value) && typeof (value as SemaphoreStore).connect === 'function',
  },
  defaults: { text: 'an object of semaphore options', holds: isObject },
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
  ...levels: readonly (SemaphoreOptions | undefined)[]
): ResolvedOptions {
  const resolved = merge(DEFAULTS, CALL_RULES, levels);
  validateWeight(resolved);
  return resolved;
}

/** The options of a call on top of those of its semaphore. Undefined says nothing; nothing is checked. */
export function overlay(
  base: SemaphoreOptions | undefined,
  call: SemaphoreOptions | undefined,
): SemaphoreOptions | undefined {
  if (call === undefined) return base;
  // What is not even an object is for resolveOptions to refuse.
  if (base === undefined || typeof call !== 'object' || call === null) return call;
  const said = Object.entries(call).filter(([, value]) => value !== undefined);
  return { ...base, ...Object.fromEntries(said) };
}

/**
 * Checks options that are to be merged later, when a weight may still meet its permits.
 * @param beside rules of the other options that are taken in the same place
 * @throws {InvalidOptionsError}
 */
export function validateOptions(
  options: SemaphoreDefaults,
  beside: Readonly<Record<string, Rule>> = {},
): void {
  requireObject(options);
  refuseSignal(options);
  const resolved = merge(DEFAULTS, { ...beside, ...OPTION_RULES }, [options]);
  if (options.permits !== undefined) validateWeight(resolved);
}

function validateWeight({ weight, permits }: ResolvedOptions): void {
  if (weight <= permits) return;
  throw new InvalidOptionsError('weight', weight, `at most \`permits\` (${permits})`);
}

/**
 * @param beside rules of the other options that are taken in the same place
 * @throws {InvalidOptionsError}
 */
export function resolveModuleOptions(
  options: SemaphoreModuleOptions = {},
  beside: Readonly<Record<string, Rule>> = {},
): ResolvedModuleOptions {
  const resolved = merge(MODULE_DEFAULTS, { ...MODULE_RULES, ...beside }, [options]);
  if (resolved.redis !== undefined && resolved.store !== undefined) {
    throw new InvalidOptionsError('store', resolved.store, 'left out when `redis` is given');
  }
  checkedAt('defaults', () => validateOptions(resolved.defaults));
  resolved.log = resolveLog(resolved.log);
  resolved.statusCodes = checkedAt('statusCodes', () =>
    merge(MODULE_DEFAULTS.statusCodes, STATUS_CODE_RULES, [resolved.statusCodes]),
  );
  return resolved;
}

/** @throws {InvalidOptionsError} */
export function resolveLog(log: LogLevel | LogOptions): ResolvedLog {
  if (!MODULE_RULES.log.holds(log)) {
    throw new InvalidOptionsError('log', log, MODULE_RULES.log.text);
  }
  const given = typeof log === 'object' ? log : { level: log };
  const resolved = checkedAt('log', () => merge(LOG_DEFAULTS, LOG_RULES, [given]));
  resolved.events = checkedAt('log.events', () =>
    merge<ResolvedLog['events']>({}, LOG_EVENT_RULES, [resolved.events]),
  );
  return resolved;
}

/** @throws {InvalidOptionsError} */
export function validateKey(key: unknown): asserts key is string {
  if (!isKey(key)) throw new InvalidOptionsError('key', key, KEY_RULE);
}

/** Of a named semaphore, whose key it is. @throws {InvalidOptionsError} */
export function validateName(name: unknown, option = 'name'): asserts name is string {
  if (!isKey(name)) throw new InvalidOptionsError(option, name, KEY_RULE);
}

export function isKey(key: unknown): key is string {
  if (typeof key !== 'string' || key.length === 0) return false;
  // Half a surrogate pair has no bytes of its own in UTF-8: two keys would become one.
  if (!key.isWellFormed()) return false;
  // A UTF-16 unit has at most three bytes in UTF-8: most keys need no counting.
  return key.length * 3 <= MAX_KEY_BYTES || Buffer.byteLength(key) <= MAX_KEY_BYTES;
}

/** @throws {InvalidOptionsError} */
export function validatePermitId(id: unknown, key: string): void {
  if (typeof id === 'string' && PERMIT_ID.test(id)) return;
  throw new InvalidOptionsError('permitId', id, `an id that matches ${PERMIT_ID}`, key);
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
