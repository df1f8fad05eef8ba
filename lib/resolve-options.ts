import type { CancelSignal } from './cancel/cancel-signal.js';
import { MAX_KEY_BYTES, MAX_LABEL_LENGTH, MAX_PRIORITY, PERMIT_ID } from './limits.js';
import {
  ABORT_SIGNAL,
  duration,
  flag,
  merge,
  oneOf,
  orInfinity,
  refuseSignal,
  requireObject,
  type Rule,
  wholeNumber,
} from './option-rules.js';
import { InvalidOptionsError } from './semaphore.errors.js';
import type { SemaphoreDefaults, SemaphoreOptions } from './semaphore.options.js';
import { TOKENS_A_GRANT } from './store/semaphore-store.js';

/** Every option with its value. */
export type ResolvedOptions = Required<Omit<SemaphoreDefaults, 'label'>> & {
  label: string | undefined;
  signal: CancelSignal | undefined;
};

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

/** What {@link isKey} asks for. */
export const KEY_RULE = `a non-empty string of well-formed Unicode, at most ${MAX_KEY_BYTES} bytes`;
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

/** @param option what it was given as. @throws {InvalidOptionsError} */
export function validateKey(key: unknown, option = 'key'): asserts key is string {
  if (!isKey(key)) throw new InvalidOptionsError(option, key, KEY_RULE);
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
