import {
  checkedAt,
  flag,
  isObject,
  merge,
  mergeSecretly,
  type Rule,
  wholeNumber,
} from './option-rules.js';
import { LOG_DEFAULTS, LOG_RULE, type ResolvedLog, resolveLog } from './resolve-log.js';
import { validateOptions } from './resolve-options.js';
import { InvalidOptionsError } from './semaphore.errors.js';
import type { RedisConnection, SemaphoreModuleOptions, StatusCodes } from './semaphore.options.js';
import { checkNumbers, isStore, REDIS_DEFAULTS, REDIS_RULES } from './store/redis/redis.options.js';
import type { SemaphoreStore } from './store/semaphore-store.js';

/** The module's options with their values. */
export type ResolvedModuleOptions = Required<
  Omit<SemaphoreModuleOptions, 'redis' | 'store' | 'log' | 'statusCodes'>
> & {
  redis: RedisConnection | undefined;
  store: SemaphoreStore | undefined;
  log: ResolvedLog;
  statusCodes: Required<StatusCodes>;
};

const MODULE_DEFAULTS: ResolvedModuleOptions = Object.freeze({
  ...REDIS_DEFAULTS,
  redis: undefined,
  store: undefined,
  defaults: Object.freeze({}),
  log: LOG_DEFAULTS,
  telemetry: true,
  statusCodes: Object.freeze({ busy: 429, timeout: 429, queueFull: 503, unavailable: 503 }),
});

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
    text: 'a SemaphoreStore; a client of Redis is given as `redis`',
    holds: (value) => isObject(value) && isStore(value),
  },
  defaults: { text: 'an object of semaphore options', holds: isObject },
  log: LOG_RULE,
  telemetry: flag,
  statusCodes: { text: 'an object of HTTP status codes', holds: isObject },
};

/**
 * @param beside rules of the other options that are taken in the same place
 * @throws {InvalidOptionsError}
 */
export function resolveModuleOptions(
  options: SemaphoreModuleOptions = {},
  beside: Readonly<Record<string, Rule>> = {},
): ResolvedModuleOptions {
  const resolved = mergeSecretly(MODULE_DEFAULTS, { ...MODULE_RULES, ...beside }, options);
  checkNumbers(resolved.redis);
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
