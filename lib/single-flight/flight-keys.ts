import { createHash } from 'node:crypto';
import { MAX_KEY_BYTES } from '../limits.js';
import { InvalidOptionsError } from '../semaphore.errors.js';

/** In front of the key of every semaphore whose holder leads a flight. */
const PREFIX = 'single-flight:';
/** How much of a long key is left for people to read. */
const SHOWN = 64;

/** The key of the semaphore whose holder leads the flight. @throws {InvalidOptionsError} */
export function permitKeyOf(key: unknown): string {
  if (typeof key !== 'string' || key === '') {
    throw new InvalidOptionsError('key', key, 'a non-empty string');
  }
  const isLong = Buffer.byteLength(key) > MAX_KEY_BYTES - PREFIX.length;
  // Half a surrogate pair has no bytes of its own in UTF-8: two keys would become one.
  if (!isLong && !/\p{Surrogate}/u.test(key)) return PREFIX + key;
  const hash = createHash('sha256').update(key, 'utf16le').digest('hex');
  return `${PREFIX}${key.slice(0, SHOWN).replace(/\p{Surrogate}/gu, '')}#${hash}`;
}
