import { didYouMean } from './did-you-mean.js';
import { MAX_DURATION_MS } from './limits.js';
import { InvalidOptionsError } from './semaphore.errors.js';

/** What a value of an option must be. */
export interface Rule {
  text: string;
  holds: (value: unknown) => boolean;
  /** No message shows the value. */
  isSecret?: boolean;
}

/** Stands in messages for what may be a secret. */
const HIDDEN = '***';

export const wholeNumber = (least: number, most = Number.MAX_SAFE_INTEGER): Rule => ({
  text:
    most === Number.MAX_SAFE_INTEGER
      ? `a whole number >= ${least}`
      : `a whole number from ${least} to ${most}`,
  holds: (value) => Number.isInteger(value) && Number(value) >= least && Number(value) <= most,
});

export const orInfinity = (rule: Rule): Rule => ({
  text: `${rule.text}, or Infinity`,
  holds: (value) => value === Infinity || rule.holds(value),
});

export const duration = (least: number): Rule => ({
  text: `a number of milliseconds >= ${least} and <= ${MAX_DURATION_MS}`,
  holds: (value) => typeof value === 'number' && value >= least && value <= MAX_DURATION_MS,
});

export const oneOf = (...values: string[]): Rule => ({
  text: values.map((value) => `'${value}'`).join(' | '),
  holds: (value) => values.includes(value as string),
});

export const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null;

export const flag: Rule = { text: 'true or false', holds: (value) => typeof value === 'boolean' };

export const aFunction: Rule = {
  text: 'a function',
  holds: (value) => typeof value === 'function',
};

export const ABORT_SIGNAL: Rule = {
  text: 'an AbortSignal',
  holds: (value) => value instanceof AbortSignal,
};

/** Refuses a `signal` among options of more than one call. @throws {InvalidOptionsError} */
export function refuseSignal(options: object): void {
  if (!('signal' in options)) return;
  throw new InvalidOptionsError('signal', options.signal, 'left out: it is of a single call only');
}

/**
 * The levels over the defaults, later ones winning.
 * @throws {InvalidOptionsError} naming the option, the value and the rule
 */
export function merge<T extends object>(
  defaults: T,
  rules: Record<string, Rule>,
  levels: readonly (object | undefined)[],
): T {
  const resolved = { ...defaults };
  for (const level of levels) {
    if (level === undefined) continue;
    requireObject(level);
    for (const option in level) {
      const value = (level as Record<string, unknown>)[option];
      if (value === undefined) continue;
      const rule = Object.hasOwn(rules, option) ? rules[option] : undefined;
      if (rule === undefined) {
        throw new InvalidOptionsError(option, value, noSuchOption(option, Object.keys(rules)));
      }
      if (!rule.holds(value)) {
        throw new InvalidOptionsError(option, rule.isSecret ? HIDDEN : value, rule.text);
      }
      (resolved as Record<string, unknown>)[option] = value;
    }
  }
  return resolved;
}

/**
 * As {@link merge}, of one level, whose values may be secrets, also under a misspelt name.
 * @throws {InvalidOptionsError} naming the option and the rule
 */
export function mergeSecretly<T extends object>(
  defaults: T,
  rules: Record<string, Rule>,
  options: object,
): T {
  requireObject(options);
  refuseUnknown(options, Object.keys(rules));
  return merge(defaults, rules, [options]);
}

/**
 * Checks the names of options whose values may be secrets, also under a misspelt name: no message shows them.
 * @throws {InvalidOptionsError}
 */
export function refuseUnknown(options: object, names: readonly string[], place = ''): void {
  for (const [option, value] of Object.entries(options)) {
    if (value === undefined || names.includes(option)) continue;
    throw new InvalidOptionsError(place + option, HIDDEN, noSuchOption(option, names));
  }
}

/** @throws {InvalidOptionsError} */
export function requireObject(options: unknown, rule = 'an object'): asserts options is object {
  if (isObject(options) && !Array.isArray(options)) return;
  throw new InvalidOptionsError('options', options, rule);
}

/** @param key of the call. @throws {InvalidOptionsError} */
export function requireFunction(
  name: string,
  value: unknown,
  key?: string | readonly string[],
): void {
  if (aFunction.holds(value)) return;
  throw new InvalidOptionsError(name, value, aFunction.text).of(key);
}

/**
 * As {@link requireFunction}, of one that is run under a permit: the body of a generator would run later, without it, and its
 * reader cannot wait.
 */
export function requireTask(name: string, value: unknown, key?: string | readonly string[]): void {
  requireFunction(name, value, key);
  if (!isGenerator(value)) return;
  throw new InvalidOptionsError(name, value, 'an async generator, instead of a generator').of(key);
}

/** A generator function that is not async. */
export function isGenerator(fn: unknown): boolean {
  return Object.prototype.toString.call(fn) === '[object GeneratorFunction]';
}

/** Makes errors of a check say where the checked options stand, before what they say of it themselves. */
export function checkedAt<T>(where: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof InvalidOptionsError)) throw error;
    const { option, value, rule, key } = error;
    const place = error.where === undefined ? where : `${where}, ${error.where}`;
    throw new InvalidOptionsError(option, value, rule, key, place);
  }
}

function noSuchOption(option: string, names: readonly string[]): string {
  const meant = didYouMean(option, names);
  const hint = meant === undefined ? '' : ` Did you mean \`${meant}\`?`;
  return `left out: there is no such option.${hint} There are ${names.join(', ')}`;
}
