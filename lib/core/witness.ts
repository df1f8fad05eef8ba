import type { RejectedReason } from '../semaphore.events.js';

/**
 * Hears what happens without an event being made of it: events cost more than all that most acquisitions do in this
 * process. None of these may throw.
 */
export interface Witness {
  acquired(key: string, waitedMs: number): void;
  rejected(key: string, reason: RejectedReason): void;
  /** A permit was released or lost. */
  ended(key: string, heldMs: number, isLost: boolean): void;
  storeDown(error: Error): void;
  storeUp(): void;
}
