import { InvalidArgumentError } from 'commander';
import { MAX_DURATION_MS } from '../limits.js';
import { UsageError } from './cli-error.js';
import type { Environment } from './environment.js';

const FOREVER = /^(?:forever|infinity|never)$/i;

/** A parser for commander: a whole number. */
export function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER) {
  const rule =
    most === Number.MAX_SAFE_INTEGER
      ? `a whole number of at least ${least}`
      : `a whole number from ${least} to ${most}`;
  return (text: string): number => {
    if (isWholeNumber(text, least, most)) return Number(text);
    throw new InvalidArgumentError(`It is to be ${rule}.`);
  };
}

function isWholeNumber(text: string, least: number, most: number): boolean {
  return /^-?\d+$/.test(text) && Number(text) >= least && Number(text) <= most;
}

/** A parser for commander: milliseconds, or `forever`. */
export function milliseconds(least: number) {
  return (text: string): number => {
    if (FOREVER.test(text)) return Infinity;
    const value = Number(text);
    if (/^\d+(?:\.\d+)?$/.test(text) && value >= least && value <= MAX_DURATION_MS) return value;
    throw new InvalidArgumentError(
      `It is to be a number of milliseconds of at least ${least}, or "forever".`,
    );
  };
}

export const port = wholeNumber(0, 65_535);

/** A parser for commander: a limit, or nothing. */
export function permitsOrNone(text: string): number | null {
  if (text === 'none') return null;
  if (isWholeNumber(text, 1, Number.MAX_SAFE_INTEGER)) return Number(text);
  throw new InvalidArgumentError('It is to be a whole number of at least 1, or "none".');
}

/** A parser for commander: every use of the option adds a value. */
export function repeatable(text: string, before: readonly string[] = []): string[] {
  return [...before, text];
}

/** A variable of the environment, parsed as the flag would be. @throws {UsageError} */
export function readAs<T>(
  env: Environment,
  name: string,
  parse: (text: string) => T,
): T | undefined {
  const text = env.get(name);
  if (text === undefined) return undefined;
  try {
    return parse(text);
  } catch (error) {
    throw new UsageError(`${name} is "${text}". ${(error as Error).message}`);
  }
}
