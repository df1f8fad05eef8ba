import { detailOf, SemaphoreClosedError } from '../../semaphore.errors.js';

/** Since when the store does not answer (epoch milliseconds), and what it said last. */
export interface StoreOutage {
  since: number;
  message: string;
}

/** Whether the store answers, by what the service says and by what became of the collector's own calls. */
export class StoreHealth {
  private current: StoreOutage | null = null;

  get outage(): StoreOutage | null {
    return this.current;
  }

  failed(error: unknown): void {
    if (error instanceof SemaphoreClosedError) this.begin(Date.now(), 'this process shuts down');
    else this.begin(Date.now(), detailOf(error));
  }

  worked(): void {
    this.current = null;
  }

  private begin(since: number, message: string): void {
    this.current ??= { since, message };
  }
}
