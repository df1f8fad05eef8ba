import { aFunction, checkedAt, flag, isObject, merge, oneOf, type Rule } from './option-rules.js';
import { InvalidOptionsError } from './semaphore.errors.js';
import type { SemaphoreEventType } from './semaphore.events.js';
import type { LogLevel, LogOptions } from './semaphore.options.js';

/** {@link LogOptions} with their values. */
export type ResolvedLog = Required<Omit<LogOptions, 'sink'>> & Pick<LogOptions, 'sink'>;

export const LOG_DEFAULTS: ResolvedLog = Object.freeze({
  level: 'problems',
  events: Object.freeze({}),
});

const LOG_LEVEL = oneOf('none', 'problems', 'all');

export const LOG_RULE: Rule = {
  text: `${LOG_LEVEL.text}, or an object of log options`,
  holds: (value) => LOG_LEVEL.holds(value) || (isObject(value) && !Array.isArray(value)),
};

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

/** @throws {InvalidOptionsError} */
export function resolveLog(log: LogLevel | LogOptions): ResolvedLog {
  if (!LOG_RULE.holds(log)) {
    throw new InvalidOptionsError('log', log, LOG_RULE.text);
  }
  const given = typeof log === 'object' ? log : { level: log };
  const resolved = checkedAt('log', () => merge(LOG_DEFAULTS, LOG_RULES, [given]));
  resolved.events = checkedAt('log.events', () =>
    merge<ResolvedLog['events']>({}, LOG_EVENT_RULES, [resolved.events]),
  );
  return resolved;
}
