import type { SemaphoreService } from '../../semaphore.service.js';
import { internalsOf } from '../../service-internals.js';
import type { SemaphoreSnapshot, StoreSnapshot } from '../../store/semaphore-store.js';

/** More are not kept in memory; a page with more would help nobody. */
export const MAX_KEYS = 20_000;

/** What is known of a key since somebody looked. */
export interface KnownKey {
  readonly key: string;
  /** Key in lower case, to be searched. */
  readonly searched: string;
  state: KeyState | undefined;
  /** By the local monotonic clock. */
  lookedAt: number;
}

export interface KeyState {
  permits: number;
  held: number;
  waiting: number;
  /** Epoch milliseconds by the store's clock; null when nobody waits. */
  oldestWaitSince: number | null;
  /** Holders and waiters: what it costs to look. */
  size: number;
}

/** Keys in use, by name, with what the last look at each of them showed. */
export class KnownKeys {
  private sorted: KnownKey[] = [];
  private byKey = new Map<string, KnownKey>();
  private overflows = false;
  private listed = false;

  constructor(
    private readonly service: SemaphoreService,
    private readonly onLook: (snapshot: StoreSnapshot) => void,
  ) {}

  get all(): readonly KnownKey[] {
    return this.sorted;
  }

  /** There are more than {@link MAX_KEYS}. */
  get areCut(): boolean {
    return this.overflows;
  }

  /** The first listing is over: before it, keys are missing. */
  get areComplete(): boolean {
    return this.listed;
  }

  /** Reads the list anew. Until it is read, keys that come are added and none go. */
  async list(): Promise<void> {
    const found = new Map<string, KnownKey>();
    let overflows = false;
    for await (const key of this.service.list()) {
      if (found.size >= MAX_KEYS) {
        overflows = true;
        break;
      }
      const known = this.byKey.get(key) ?? newKey(key);
      found.set(key, known);
      if (!this.listed) this.byKey.set(key, known);
    }
    this.byKey = found;
    this.overflows = overflows;
    this.listed = true;
    this.sort();
  }

  /** Sorts what a listing has found so far, so that it can be shown. */
  sort(): void {
    this.sorted = [...this.byKey.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** Looks at several keys at once: what one turn of the event loop asks for travels together. */
  async look(keys: readonly KnownKey[]): Promise<void> {
    await Promise.all(
      keys.map(async (known) => {
        known.lookedAt = performance.now();
        const snapshot = await internalsOf(this.service).look(known.key);
        known.state = stateOf(snapshot);
        this.onLook(snapshot);
      }),
    );
  }
}

function newKey(key: string): KnownKey {
  return { key, searched: key.toLowerCase(), state: undefined, lookedAt: -Infinity };
}

export function stateOf({ permits, held, holders, waiters }: SemaphoreSnapshot): KeyState {
  let oldest = Infinity;
  for (const { enqueuedAt } of waiters) oldest = Math.min(oldest, enqueuedAt);
  const oldestWaitSince = waiters.length === 0 ? null : oldest;
  const size = holders.length + waiters.length;
  return { permits, held, waiting: waiters.length, oldestWaitSince, size };
}
