import type { RejectedReason } from '../../semaphore.events.js';
import { Durations } from './durations.js';

export const INTERVAL_MS = 15_000;
/** How far back the plots go, in intervals: 15 minutes. */
export const KEPT = 60;

/** How many were rejected for which reason. */
export type Reasons = Partial<Record<RejectedReason, number>>;

/** What happened to one key within {@link INTERVAL_MS}. */
export class Interval {
  acquired = 0;
  rejected = 0;
  readonly reasons: Reasons = {};
  lost = 0;
  readonly waits = new Durations();
  readonly holds = new Durations();

  /** @param number how many intervals after the epoch */
  constructor(readonly number: number) {}
}
