import { PermitUnavailableError, type UnavailableReason } from '../semaphore.errors.js';
import type { ResolvedOptions } from '../resolve-options.js';
import type { AcquireRequest } from '../store/semaphore-store.js';
import type { AcquisitionProbe } from './acquisition-probe.js';
import type { Timed } from './alarm.js';
import type { Link } from './linked-list.js';
import type { Permit } from './permit.js';

/** When to try again, when nothing better is known. */
const RETRY_AFTER_MS = 30_000;

/** 'asking': the store has not answered yet. 'local': waits in this process, by `onStoreFailure: 'local'`. */
type WaiterState = 'asking' | 'waiting' | 'local' | 'over';

/** One acquisition until it is granted or refused. */
export class Waiter implements Timed {
  state: WaiterState = 'asking';
  wakeAt = Infinity;
  /** When its place was taken, by this one or by another. */
  placedAt: number;
  /** How often the store was asked. */
  asked = 0;
  /** Its place in {@link WaitingRanks}, while it waits there. */
  rankLink: Link<Waiter> | undefined;
  /** Measures the acquisition. */
  probe: AcquisitionProbe | undefined;
  /** Listens to the caller's signal. */
  stopListening: (() => void) | undefined;

  /**
   * @param id of its place in the store's queue: two waiters of this process may change places
   * @param since when the caller asked, by the store's clock: `waitMs` counts from here
   */
  constructor(
    public id: string,
    readonly key: string,
    readonly options: ResolvedOptions,
    readonly since: number,
    readonly resolve: (permit: Permit) => void,
    readonly reject: (error: Error) => void,
  ) {
    this.placedAt = since;
  }

  request(): AcquireRequest {
    const { permits, weight, priority, leaseMs, waitMs, maxWaiting, label } = this.options;
    return {
      key: this.key,
      id: this.id,
      permits,
      weight,
      priority,
      leaseMs,
      wait: waitMs > 0,
      maxWaiting,
      label,
    };
  }

  /** From now on it stands in a queue, and its time runs. */
  enqueue(state: 'waiting' | 'local'): void {
    this.state = state;
    this.wakeAt = this.since + this.options.waitMs;
  }

  end(): void {
    this.state = 'over';
    this.wakeAt = Infinity;
    this.stopListening?.();
  }

  unavailableError(reason: UnavailableReason, retryAfterMs?: number): PermitUnavailableError {
    const { waitMs, leaseMs } = this.options;
    const estimate = retryAfterMs ?? Math.min(waitMs, leaseMs);
    const known = Number.isFinite(estimate) ? estimate : RETRY_AFTER_MS;
    const whole = Math.max(1, Math.ceil(known));
    return new PermitUnavailableError(this.key, reason, whole, this.options);
  }
}
