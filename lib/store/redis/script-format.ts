import type { Grant, Lease } from '../semaphore-store.js';
import type { Sample } from './operations.js';
import { ENDLESS } from './scripts/embedded.js';

/** The server's milliseconds are rounded down. */
export const ROUNDING_MS = 1;

/** What came of an acquire. */
export const WAITING = 0;
export const GRANTED = 1;
export const BUSY = 2;
const QUEUE_FULL = 3;

/** Of an answer that says yes or no. */
export const isOne = (answer: number): boolean => answer === 1;
/** Of an answer that says nothing but that it was done. */
export const ignore = (): void => undefined;

/** What the script answers to an acquire: a token alone for what happens most. */
export type AcquireAnswer =
  | number
  | [status: typeof WAITING, previous: number, score: number, next: number]
  | [
      status: typeof GRANTED,
      previous: number,
      token: number,
      expiry: number,
      acquired: number,
      permits: number,
      again?: 1,
    ]
  | [status: typeof BUSY | typeof QUEUE_FULL, previous: number, next: number];

/** As the server tells it. */
export interface Granted {
  token: number;
  expiry: number;
  acquired: number;
  /** The limit in force. */
  permits: number;
}

/** Of an answer that tells a grant: whose, and what {@link toGranted} takes. */
export const GRANT_FIELDS = 5;

/** @param at where the fields of a grant begin: token, expiry, acquired, limit */
export function toGranted(fields: readonly (string | number)[], at: number): Granted {
  return {
    token: Number(fields[at]),
    expiry: Number(fields[at + 1]),
    acquired: Number(fields[at + 2]),
    permits: Number(fields[at + 3]),
  };
}

/**
 * The permit is certainly held until as long after the sending of the sampled call as the server's expiry lies after that
 * call's server time: no client clock is trusted. The server knew whole milliseconds only, rounded down.
 */
export function toGrant(granted: Granted, provisional: boolean, sample: Sample): Grant {
  const { expiresAt, deadline } = toLease(granted.expiry, sample);
  return {
    fencingToken: granted.token,
    acquiredAt: granted.acquired,
    permits: granted.permits,
    provisional,
    expiresAt,
    deadline,
  };
}

export function toLease(expiry: number, sample: Sample): Lease {
  return expiry >= ENDLESS
    ? { expiresAt: Infinity, deadline: Infinity }
    : {
        expiresAt: expiry,
        deadline: sample.sentAt + (expiry - sample.serverNow) - ROUNDING_MS,
      };
}

export function leaseText(leaseMs: number): string {
  return leaseMs === Infinity ? '-' : String(leaseMs);
}

export function labelText(label: string | undefined): string {
  return label === undefined ? '' : `=${label}`;
}
