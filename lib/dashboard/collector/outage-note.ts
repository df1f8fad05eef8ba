import { detailOf, SemaphoreClosedError } from '../../semaphore.errors.js';

/** Since when the store does not answer (epoch milliseconds), and what it said then. */
export interface StoreOutage {
  since: number;
  message: string;
}

/** Whether the store answers, by what the service says and by what became of the collector's own calls. */
export class OutageNote {
  private current: StoreOutage | null = null;
  /** By the local monotonic clock. */
  private workedAt = -Infinity;

  get outage(): StoreOutage | null {
    return this.current;
  }

  /** A call that began then says nothing of the store as it is now: it has answered since. */
  isOutdated(begun: number): boolean {
    return begun < this.workedAt;
  }

  /** @param begun when the call that failed began, by the local monotonic clock */
  failed(error: unknown, begun = performance.now()): void {
    if (this.isOutdated(begun)) return;
    this.current ??= { since: Date.now(), message: messageOf(error) };
  }

  worked(): void {
    this.workedAt = performance.now();
    this.current = null;
  }
}

function messageOf(error: unknown): string {
  return error instanceof SemaphoreClosedError ? 'this process shuts down' : detailOf(error);
}
