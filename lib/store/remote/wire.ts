import { hash } from 'node:crypto';
import type {
  AcquireReply,
  AcquireRequest,
  Grant,
  Lease,
  PermitsChange,
  StoreSnapshot,
} from '../semaphore-store.js';
import type { FlightLook, Publication } from '../single-flight-store.js';

/**
 * What RemoteSemaphoreStore and the server say to each other.
 *
 * `GET /v1/store` opens a session, or takes it up again, and is its stream of events (SSE): `open` first, then what a
 * StoreClient is told. `POST /v1/store` carries calls, `DELETE /v1/store` ends the session, `GET /v1/store/keys` lists
 * (one JSON string a line, `true` at the end). The session is a secret of the client, so that it can take it up again
 * under the same name at any server. Long results of single flights travel apart, by `POST` and `GET /v1/store/result`: what is
 * ordered must not wait for them. JSON has no Infinity: it travels as null. Deadlines are those of the server's clock.
 */
export const STORE_PATH = '/v1/store';
export const KEYS_PATH = '/v1/store/keys';
export const RESULT_PATH = '/v1/store/result';
export const SESSION_HEADER = 'x-store-session';
/** Host and process of the client. */
export const NAME_HEADER = 'x-store-client';
/** How long the server keeps what the session holds without its stream, in milliseconds. */
export const GRACE_HEADER = 'x-store-grace';
/** Shorter, and a pause of either process would cost it what is held. */
export const MIN_GRACE_MS = 500;
export const MAX_GRACE_MS = 60_000;

/** The server has no stream of the session: nothing was done. */
export const NO_SESSION_STATUS = 409;

/** Bounds of one POST of calls; one more, when two of them are one step: see {@link isOneStep}. */
export const MAX_CALLS = 256;
export const MAX_CALLS_BYTES = 48 * 1024;

/** Of the result of a single flight, in UTF-8. */
export const MAX_RESULT_BYTES = 4 * 1024 * 1024;
/** Longer ones travel apart from events and calls. In UTF-16 units. */
export const MAX_SHORT_RESULT = 4 * 1024;

type Endless = number | null;

export type WireCall =
  | ({ op: 'acquire'; leaseMs: Endless; maxWaiting: Endless } & Omit<
      AcquireRequest,
      'leaseMs' | 'maxWaiting'
    >)
  | { op: 'cancel'; key: string; id: string }
  | { op: 'forceRelease'; key: string; id: string; onlyWaiting: boolean }
  | { op: 'release'; key: string; id: string; holdAtLeastMs: number; lastToken: number }
  | { op: 'renew'; key: string; id: string; leaseMs: Endless }
  | { op: 'inspect'; key: string }
  | { op: 'setPermits'; key: string; permits: number | null }
  | { op: 'look'; key: string; seen: number | null }
  | ({ op: 'publish'; key: string } & WirePublication)
  | { op: 'forget'; key: string };

/** A look; where it `isLong`, without its payload, which has to be asked for apart. */
export type WireLook = FlightLook & { isLong?: true };

export type WirePublication = Omit<Publication, 'substitute'>;

export interface WireError {
  code: string;
  message: string;
  nothingDone: boolean;
}

export type WireResult = { value: unknown } | { error: WireError };

/** `now` is the server's clock when the request came in. */
export interface Timestamp {
  server: string;
  now: number;
}

export interface WireReply extends Timestamp {
  results: WireResult[];
}

export interface OpenEvent extends Timestamp {
  graceMs: number;
  heartbeatMs: number;
}

export interface WireLease {
  expiresAt: Endless;
  deadline: Endless;
}

export type WireGrant = Omit<Grant, keyof Lease> & WireLease;

export type WireAcquireReply =
  | { status: 'granted'; grant: WireGrant }
  | { status: 'waiting' }
  | { status: 'busy' | 'queue-full'; retryAfterMs: Endless };

export interface StoreEvents {
  granted: { key: string; id: string; grant: WireGrant };
  failed: { key: string; id: string; message: string };
  revoked: { key: string; id: string };
  permitsChanged: PermitsChange;
  /** Without a payload that is too long for an event. */
  published: { key: string; token: number; payload?: string };
  forgotten: { key: string };
  /** The server cannot reach its store. */
  down: { message: string };
  up: Record<string, never>;
}

/** Whether a call has to travel with the one before it: SingleFlightStore promises that nothing comes between them. */
export function isOneStep(before: WireCall | undefined, call: WireCall): boolean {
  if (before?.key !== call.key) return false;
  return (
    (before.op === 'look' && call.op === 'acquire') ||
    (before.op === 'publish' && call.op === 'release')
  );
}

export function toWire(value: number): Endless {
  return value === Infinity ? null : value;
}

export function fromWire(value: Endless): number {
  return value ?? Infinity;
}

export function leaseToWire<T extends Lease>(lease: T): Omit<T, keyof Lease> & WireLease {
  return { ...lease, expiresAt: toWire(lease.expiresAt), deadline: toWire(lease.deadline) };
}

/** @param toLocal from the server's clock to the reader's */
export function leaseFromWire<T extends WireLease>(
  lease: T,
  toLocal: (time: number) => number,
): Omit<T, keyof Lease> & Lease {
  const { expiresAt, deadline } = lease;
  return {
    ...lease,
    expiresAt: fromWire(expiresAt),
    deadline: deadline === null ? Infinity : toLocal(deadline),
  };
}

export function acquireReplyToWire(reply: AcquireReply): WireAcquireReply {
  if (reply.status === 'granted') return { status: 'granted', grant: leaseToWire(reply.grant) };
  if (reply.status === 'waiting') return reply;
  return { status: reply.status, retryAfterMs: toWire(reply.retryAfterMs) };
}

export function snapshotToWire(snapshot: StoreSnapshot): object {
  const holders = snapshot.holders.map((holder) => ({
    ...holder,
    expiresAt: toWire(holder.expiresAt),
  }));
  return { ...snapshot, holders };
}

export function snapshotFromWire(value: unknown): StoreSnapshot {
  const snapshot = value as StoreSnapshot;
  const holders = snapshot.holders.map((holder) => ({
    ...holder,
    expiresAt: fromWire(holder.expiresAt as Endless),
  }));
  return { ...snapshot, holders };
}

/** The name of a session in snapshots. Nobody who reads it there can take up the session, or listen to its grants. */
export function clientIdOf(name: string, session: string): string {
  return `${name}:${hash('sha256', session, 'base64url').slice(0, 11)}`;
}
