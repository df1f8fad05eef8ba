import { lastIndexThatFits } from './last-index.js';
import type { Waiter } from './waiter.js';

interface LocalKey {
  /** Weights granted here. */
  held: number;
  /** In the order in which they are served. */
  queue: Waiter[];
}

const NOBODY: Waiter[] = [];

/** Counts within this process while the store is away, by `onStoreFailure: 'local'`. */
export class LocalPermits {
  private readonly keys = new Map<string, LocalKey>();
  private isClosed = false;

  /** @param heldOfStore weights of the key which this process holds by the store: they count too */
  constructor(
    private readonly heldOfStore: (key: string) => number,
    private readonly grant: (waiter: Waiter) => void,
  ) {}

  /** Grants at once or gives a place in the queue. @returns why neither was possible */
  enter(waiter: Waiter): 'busy' | 'queue-full' | undefined {
    const { key, options } = waiter;
    const local = this.keys.get(key) ?? { held: 0, queue: [] };
    const { priority } = options;
    const place = lastIndexThatFits(local.queue, (other) => other.options.priority >= priority);
    if (place !== -1 || !this.fits(local, waiter)) {
      if (options.waitMs === 0) return 'busy';
      if (local.queue.length >= options.maxWaiting) return 'queue-full';
    }
    this.keys.set(key, local);
    local.queue.splice(place + 1, 0, waiter);
    if (place === -1) this.serve(key);
    return undefined;
  }

  /** A waiter gave up. */
  leave(waiter: Waiter): void {
    const queue = this.keys.get(waiter.key)?.queue ?? [];
    const place = queue.indexOf(waiter);
    if (place >= 0) queue.splice(place, 1);
    const [next] = queue;
    // Who needs as much room as the one before it does not fit either, unless that one stayed only because it gives up.
    const isKeptOut = next && roomFor(next) <= roomFor(waiter) && !waiter.options.signal?.aborted;
    if (place === 0 && !isKeptOut) this.serve(waiter.key);
  }

  /** A local permit was released. */
  release(key: string, weight: number): void {
    const local = this.keys.get(key);
    if (local) local.held -= weight;
    this.serve(key);
  }

  /** Keys that somebody holds or waits for here. */
  get inUse(): string[] {
    return [...this.keys.keys()];
  }

  /** The store counts again. @returns who waits for the key, in their order; they wait here no more */
  dismiss(key: string): Waiter[] {
    const waiters = this.keys.get(key)?.queue.splice(0) ?? NOBODY;
    if (waiters.length > 0) this.serve(key);
    return waiters;
  }

  /** Lets nobody in any more. */
  close(): void {
    this.isClosed = true;
  }

  /** Lets in who fits. Also to be called when this process gave back a permit of the store. */
  serve(key: string): void {
    const local = this.keys.get(key);
    if (local === undefined) return;
    let first = local.queue[0];
    while (first && this.isNext(local, first)) {
      local.queue.shift();
      local.held += first.options.weight;
      this.grant(first);
      first = local.queue[0];
    }
    if (local.held === 0 && local.queue.length === 0) this.keys.delete(key);
  }

  private isNext(local: LocalKey, waiter: Waiter): boolean {
    // Waiters of one signal give up one after another.
    return !this.isClosed && waiter.options.signal?.aborted !== true && this.fits(local, waiter);
  }

  private fits(local: LocalKey, waiter: Waiter): boolean {
    const room = roomFor(waiter) - local.held;
    return room >= 0 && this.heldOfStore(waiter.key) <= room;
  }
}

/** How much may be held beside it. */
function roomFor({ options }: Waiter): number {
  return options.permits - options.weight;
}
