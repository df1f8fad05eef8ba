import type { LostReason, UnavailableReason } from './semaphore.errors.js';

interface EventBase {
  /** When it happened: epoch milliseconds, local wall time. */
  at: number;
}

interface KeyEvent extends EventBase {
  /** Of the semaphore. */
  key: string;
}

interface PermitEvent extends KeyEvent {
  /** The `id` of the permit, also of one that is still waited for. */
  permitId: string;
  /** How many units it takes. */
  weight: number;
  /** The `label` of its options. */
  label?: string | undefined;
}

/** About no permit in particular. */
interface NoPermit {
  permitId?: undefined;
}

/** Why an acquisition came to nothing. */
export type RejectedReason = UnavailableReason | 'aborted' | 'store-unavailable' | 'closed';

/** A caller stands in the queue. */
export interface SemaphoreWaitingEvent extends PermitEvent {
  type: 'waiting';
}

/** A caller got a permit. */
export interface SemaphoreAcquiredEvent extends PermitEvent {
  type: 'acquired';
  /** Milliseconds since the call of acquire. */
  waitedMs: number;
  /** That of the permit; 0 when it is degraded. */
  fencingToken: number;
  /** Granted without the store, by `onStoreFailure` 'allow' or 'local'. */
  degraded: boolean;
}

/** A caller got no permit. */
export interface SemaphoreRejectedEvent extends PermitEvent {
  type: 'rejected';
  /** Why it got none. */
  reason: RejectedReason;
  /** Milliseconds since the call of acquire. */
  waitedMs: number;
}

/** The lease of a permit begins anew. */
export interface SemaphoreRenewedEvent extends PermitEvent {
  type: 'renewed';
  /** Epoch milliseconds by the store's clock. */
  expiresAt: number;
}

/** A permit is no longer held, though nobody released it here. */
export interface SemaphoreLostEvent extends PermitEvent {
  type: 'lost';
  /** Its lease ended, or it was released by force. */
  reason: LostReason;
  /** Milliseconds since this process learned of its grant. */
  heldMs: number;
}

/** A holder gave its permit back. */
export interface SemaphoreReleasedEvent extends PermitEvent {
  type: 'released';
  /** 'expired': it was not held any more by then. */
  outcome: 'released' | 'expired';
  /** Milliseconds since this process learned of its grant. */
  heldMs: number;
}

/** An operation of this process changed the limit of a key. */
export interface SemaphorePermitsChangedEvent extends KeyEvent, NoPermit {
  type: 'permits-changed';
  /** The limit from now on. */
  permits: number;
  /** The limit before; undefined where none was known. */
  previous: number | undefined;
  /** Set by `setPermits`, over what callers pass. */
  pinned: boolean;
}

/** A single flight's work in the background (`staleWhileRevalidateMs`) threw, or its result cannot be shared. */
export interface SemaphoreRefreshFailedEvent extends KeyEvent, NoPermit {
  type: 'refresh-failed';
  /** What was thrown, or why the result cannot be shared. */
  error: unknown;
}

/** The store cannot be reached. Comes once, until {@link SemaphoreStoreUpEvent}. */
export interface SemaphoreStoreDownEvent extends EventBase, NoPermit {
  type: 'store-down';
  /** It is about all keys. */
  key?: undefined;
  /** What the connection said. */
  error: Error;
}

/** The store can be reached again. */
export interface SemaphoreStoreUpEvent extends EventBase, NoPermit {
  type: 'store-up';
  /** It is about all keys. */
  key?: undefined;
  /** Milliseconds since the {@link SemaphoreStoreDownEvent} before it. */
  downMs: number;
}

/** What happens in this process, as it happens. `type` tells which it is, and with it what else there is. */
export type SemaphoreEvent =
  | SemaphoreWaitingEvent
  | SemaphoreAcquiredEvent
  | SemaphoreRejectedEvent
  | SemaphoreRenewedEvent
  | SemaphoreLostEvent
  | SemaphoreReleasedEvent
  | SemaphorePermitsChangedEvent
  | SemaphoreRefreshFailedEvent
  | SemaphoreStoreDownEvent
  | SemaphoreStoreUpEvent;

/** Kinds of {@link SemaphoreEvent}. */
export type SemaphoreEventType = SemaphoreEvent['type'];
