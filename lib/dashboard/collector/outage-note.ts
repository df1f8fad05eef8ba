import { detailOf, SemaphoreClosedError } from '../../semaphore.errors.js';

/** Since when the store does not answer (epoch milliseconds), and what it said then. */
export interface StoreOutage {
  since: number;
  message: string;
}

/** Whether the store answers, by what the service says and by what became of the collector's own calls. */
export class OutageNote {
  private current: StoreOutage | null = null;

  get outage(): StoreOutage | null {
    return this.current;
  }

  failed(error: unknown): void {
    this.current ??= { since: Date.now(), message: messageOf(error) };
  }

  worked(): void {
    this.current = null;
  }
}

function messageOf(error: unknown): string {
  return error instanceof SemaphoreClosedError ? 'this process shuts down' : detailOf(error);
}
