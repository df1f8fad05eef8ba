import type { ReleaseOutcome } from '../store/semaphore-store.js';

/**
 * One successful acquisition, held until it is released or its lease runs out. In a log or as JSON it is what it says of itself
 * below, without `remainingMs` and `signal`.
 * @example await using permit = await semaphores.acquire('reports');
 */
export interface Permit extends AsyncDisposable {
  /** The key; of several keys the first that was asked for. */
  readonly key: string;
  /** All keys, in the order in which they were asked for. */
  readonly keys: readonly string[];
  /**
   * Its own, as snapshots, events and `forceRelease` know it. Of several keys it is that of the first one's permit; each
   * other key's has an id of its own: that of the holder with this `label`, or with the key's token of {@link fencingTokens},
   * in `inspect(key)`.
   */
  readonly id: string;
  /** How many units it takes; of several keys, of each. */
  readonly weight: number;
  /** The `label` of its options. */
  readonly label: string | undefined;
  /** Epoch milliseconds by the store's clock. */
  readonly acquiredAt: number;
  /** Epoch milliseconds by the store's clock; moves with each renewal; Infinity when the lease does not end. */
  readonly expiresAt: number;
  /** Milliseconds for which the permit is certainly still held, unless it is renewed. */
  readonly remainingMs: number;
  /** false once it was released or lost. */
  readonly isHeld: boolean;
  /** Grows with every grant of the key, a safe integer; 0 for a degraded permit. */
  readonly fencingToken: number;
  /** The token of every key. */
  readonly fencingTokens: ReadonlyMap<string, number>;
  /** Granted without the store, by `onStoreFailure` 'allow' or 'local'. */
  readonly degraded: boolean;
  /** Aborted with PermitLostError before the store may hand the permit to another. */
  readonly signal: AbortSignal;
  /**
   * Lets the lease end `leaseMs` milliseconds from now, at least 1 or Infinity (default: the lease it was acquired with). While
   * `renew` is on it goes on being renewed for what it was acquired with; only an endless lease that was given an end has it.
   * @throws {PermitLostError} when it is not held any more
   * @throws {StoreUnavailableError} when the store did not answer
   * @throws {SemaphoreClosedError} when the service is closed: then it ends with its lease
   * @throws {InvalidOptionsError}
   */
  renew(leaseMs?: number): Promise<void>;
  /**
   * Gives the permit back. Idempotent; never throws because the permit was already gone: 'expired' tells it.
   * When the store cannot be reached it is given back in the background, as soon as it can.
   */
  release(): Promise<ReleaseOutcome>;
}
