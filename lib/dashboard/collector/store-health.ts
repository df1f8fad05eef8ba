import { detailOf, SemaphoreClosedError } from '../../semaphore.errors.js';
import type { SemaphoreEvent } from '../../semaphore.events.js';

/** Since when the store does not answer (epoch milliseconds), and what it said last. */
export interface StoreOutage {
  since: number;
  message: string;
}

/** Whether the store answers, from the events of the service and from what became of the collector's own calls. */
export class StoreHealth {
  private current: StoreOutage | null = null;

  get outage(): StoreOutage | null {
    return this.current;
  }

  /** @returns whether it was about the store */
  hear(event: SemaphoreEvent): boolean {
    if (event.type === 'store-down') this.begin(event.at, detailOf(event.error));
    else if (event.type === 'store-up') this.current = null;
    else return false;
    return true;
  }

  failed(error: unknown): void {
    if (error instanceof SemaphoreClosedError) this.begin(Date.now(), 'this process shuts down');
    else this.begin(Date.now(), error instanceof Error ? detailOf(error) : String(error));
  }

  worked(): void {
    this.current = null;
  }

  private begin(since: number, message: string): void {
    this.current ??= { since, message };
  }
}
