import type { ReleaseOutcome } from '../store/semaphore-store.js';
import type { CancelSignal } from '../cancel/cancel-signal.js';
import type { Permit } from './permit.js';

/** A permit that was granted to this process, and is not borrowed from another part of the work. */
export interface OwnPermit extends Permit {
  /**
   * Aborted when it is held no more, released or lost, before anybody else can have it: for those who work under it and
   * do not hold it. Its reason is a PermitLostError.
   */
  readonly ending: CancelSignal;
  /** Releases it although work under it may go on: `signal` says so first. */
  revoke(): Promise<ReleaseOutcome>;
  /** Releases what nobody got to see: it does not stay taken for `holdAtLeastMs`. */
  discard(): Promise<ReleaseOutcome>;
}

/** Whether it is an {@link OwnPermit}: neither borrowed, nor made by an application, as a guard of its own may do. */
export function isOwn(permit: Permit): permit is OwnPermit {
  return 'ending' in permit && 'revoke' in permit;
}
