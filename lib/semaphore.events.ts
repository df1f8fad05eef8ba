import type { LostReason, UnavailableReason } from './semaphore.errors.js';

interface EventBase {
  /** Epoch milliseconds, local wall time. */
  at: number;
}

interface KeyEvent extends EventBase {
  key: string;
}

interface PermitEvent extends KeyEvent {
  permitId: string;
  weight: number;
  label?: string | undefined;
}

/** About no permit in particular. */
interface NoPermit {
  permitId?: undefined;
}

/** Why an acquisition came to nothing. */
export type RejectedReason = UnavailableReason | 'aborted' | 'store-unavailable' | 'closed';

/** What happens in this process, as it happens. Durations are milliseconds. */
export type SemaphoreEvent =
  | (PermitEvent & { type: 'waiting' })
  /** `waitedMs`: since the call of acquire. `degraded`: granted without the store. */
  | (PermitEvent & { type: 'acquired'; waitedMs: number; fencingToken: number; degraded: boolean })
  | (PermitEvent & { type: 'rejected'; reason: RejectedReason; waitedMs: number })
  /** `expiresAt`: epoch milliseconds by the store's clock. */
  | (PermitEvent & { type: 'renewed'; expiresAt: number })
  /** `heldMs`: since this process learned of its grant. */
  | (PermitEvent & { type: 'lost'; reason: LostReason; heldMs: number })
  | (PermitEvent & { type: 'released'; outcome: 'released' | 'expired'; heldMs: number })
  /** `previous`: the limit before, undefined where none was known. `pinned`: set by `setPermits`, over what callers pass. */
  | (KeyEvent &
      NoPermit & {
        type: 'permits-changed';
        permits: number;
        previous: number | undefined;
        pinned: boolean;
      })
  /** A single flight's work in the background (`staleWhileRevalidateMs`) threw, or its result cannot be shared. */
  | (KeyEvent & NoPermit & { type: 'refresh-failed'; error: unknown })
  | (EventBase & NoPermit & { type: 'store-down'; key?: undefined; error: Error })
  /** `downMs`: since the `store-down` before it. */
  | (EventBase & NoPermit & { type: 'store-up'; key?: undefined; downMs: number });

/** Kinds of {@link SemaphoreEvent}. */
export type SemaphoreEventType = SemaphoreEvent['type'];
