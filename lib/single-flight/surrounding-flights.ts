import { AsyncLocalStorage } from 'node:async_hooks';

const storage = new AsyncLocalStorage<Surrounding>();

/** A flight around the work that one of its callers has brought, for {@link isWithin}. Made in that caller's async context. */
export class Surrounding {
  private isOver = false;
  /** What waits for this one. Cut off in the end: what the work has left behind keeps its context, and this, for ever. */
  private outer = storage.getStore();

  /** @param flights whose key it is */
  constructor(
    private readonly flights: object,
    private readonly permitKey: string,
  ) {}

  /** Begins the work. */
  run<T>(work: () => T): T {
    return storage.run(this, work);
  }

  /** The work is over. */
  end(): void {
    this.isOver = true;
    this.outer = undefined;
  }

  /** Whether this, or a flight that waits for it, is that of the key. */
  isOf(flights: object, permitKey: string): boolean {
    if (this.isOver) return false;
    if (this.flights === flights && this.permitKey === permitKey) return true;
    return this.outer?.isOf(flights, permitKey) === true;
  }
}

/** Whether this is called from the work of the key's flight: who then waits for its result waits for itself. */
export function isWithin(flights: object, permitKey: string): boolean {
  return storage.getStore()?.isOf(flights, permitKey) === true;
}
