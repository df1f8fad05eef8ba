import { hash, randomBytes, randomUUID } from 'node:crypto';
import { MAX_DURATION_MS } from '../limits.js';

/** Ends the id of a permit that stays taken for a while after its release: every server finds it there. */
const HOLD_AT_LEAST = /-h([0-9a-z]+)$/;

/**
 * The id of a permit: a new one, or of a `requestId` the same again, whichever server is asked. It covers the caller's
 * name, so that callers cannot meet by choosing the same one.
 */
export function permitIdOf(
  name: string,
  key: string,
  requestId: string | undefined,
  holdAtLeastMs = 0,
): string {
  const id = requestId === undefined ? randomUUID() : digestOf('request', name, key, requestId);
  return holdAtLeastMs > 0 ? `${id}-h${Math.ceil(holdAtLeastMs).toString(36)}` : id;
}

/** How long a permit stays taken after its acquisition, in milliseconds. */
export function holdAtLeastOf(id: string): number {
  const digits = HOLD_AT_LEAST.exec(id)?.[1];
  const holdAtLeastMs = digits === undefined ? 0 : Number.parseInt(digits, 36);
  return holdAtLeastMs <= MAX_DURATION_MS ? holdAtLeastMs : 0;
}

/** Who locks: a uid means something only together with the name of the API key that it is used with. */
export interface LockOwner {
  name: string;
  uid: string;
}

/** What the ids begin with under which `/lock` holds a key for somebody. */
export function lockPrefixOf({ name, uid }: LockOwner, key: string): string {
  return `${digestOf('lock', name, key, uid)}-`;
}

/** The id of one lock: no other lock has it, so that it means one version. */
export function newLockId(prefix: string): string {
  return prefix + randomBytes(8).toString('hex');
}

function digestOf(...parts: string[]): string {
  return hash('sha256', JSON.stringify(parts)).slice(0, 32);
}
