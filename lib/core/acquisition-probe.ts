import type { LostReason } from '../semaphore.errors.js';
import type { RejectedReason } from '../semaphore.events.js';
import type { ResolvedOptions } from '../resolve-options.js';
import type { Permit } from './permit.js';

/** Measures one acquisition. None of these may throw, and each is called once at most, but for {@link queued}. */
export interface AcquisitionProbe {
  /** It stands in the queue. Said again when it is put into another one. */
  queued(): void;
  acquired(permit: Acquired): void;
  rejected(reason: RejectedReason, error: Error): void;
  /** What was acquired is not held any more. */
  ended(how: 'released' | LostReason): void;
}

/** What is known of every permit. */
export type Acquired = Pick<Permit, 'id' | 'weight' | 'fencingToken' | 'degraded'>;

/** Who measures acquisitions. */
export interface Probes {
  /** Called where an acquisition begins, in the async context of its caller. Undefined: nobody measures. */
  start(options: ResolvedOptions): AcquisitionProbe | undefined;
  /** No acquisition is under way any more. */
  close(): void;
}
