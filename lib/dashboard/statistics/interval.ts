import { Durations } from './durations.js';

export const INTERVAL_MS = 15_000;
/** How far back the plots go, in intervals: 15 minutes. */
export const KEPT = 60;

/** What happened to one key within {@link INTERVAL_MS}. */
export class Interval {
  acquired = 0;
  rejected = 0;
  lost = 0;
  readonly waits = new Durations();
  readonly holds = new Durations();

  /** @param number how many intervals after the epoch */
  constructor(readonly number: number) {}
}
