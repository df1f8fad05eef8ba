import type { SemaphoreEvent } from '../../semaphore.events.js';
import { Durations } from './durations.js';

export const INTERVAL_MS = 15_000;

/** What happened to one key within {@link INTERVAL_MS}. */
export class Interval {
  acquired = 0;
  rejected = 0;
  lost = 0;
  readonly waits = new Durations();
  readonly holds = new Durations();

  /** @param number how many intervals after the epoch */
  constructor(
    readonly key: string,
    readonly number: number,
  ) {}

  record(event: SemaphoreEvent): void {
    switch (event.type) {
      case 'acquired':
        this.acquired++;
        this.waits.add(event.waitedMs);
        break;
      case 'rejected':
        if (isRejection(event)) this.rejected++;
        break;
      case 'released':
        this.holds.add(event.heldMs);
        break;
      case 'lost':
        this.lost++;
        this.holds.add(event.heldMs);
        break;
      default:
    }
  }
}

/** Of the events that an interval counts. */
export function isCounted(event: SemaphoreEvent): event is SemaphoreEvent & { key: string } {
  if (event.type === 'rejected') return isRejection(event);
  return event.type === 'acquired' || event.type === 'released' || event.type === 'lost';
}

/** Callers that gave up by themselves were not rejected. */
function isRejection({ reason }: SemaphoreEvent & { type: 'rejected' }): boolean {
  return reason !== 'aborted' && reason !== 'closed';
}
