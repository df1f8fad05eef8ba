import { isObject, merge, type Rule } from '../../option-rules.js';
import { newClientId } from '../client-id.js';
import { type Clock, systemClock } from '../clock.js';
import { SemaphoreStore, type StoreClient, type StoreSession } from '../semaphore-store.js';
import { MemorySession } from './memory.session.js';
import { SharedMemory } from './shared-memory.js';

/** Options of `new MemorySemaphoreStore()`. */
export interface MemorySemaphoreStoreOptions {
  /**
   * Measures leases; a virtual one makes tests exact.
   * @default the machine's own
   */
  clock?: Clock | undefined;
}

const CLOCK_METHODS = ['now', 'wallTime', 'schedule'] as const satisfies (keyof Clock)[];

const RULES: Record<keyof MemorySemaphoreStoreOptions, Rule> = {
  clock: {
    text: `a Clock, with ${CLOCK_METHODS.join(', ')}`,
    holds: (value) =>
      isObject(value) &&
      CLOCK_METHODS.every((name) => typeof (value as Partial<Clock>)[name] === 'function'),
  },
};

/**
 * Semaphores in the memory of this process: for applications that run as one process, and for tests.
 * All sessions of one instance share its semaphores. Leases end by the local clock.
 * @example new SemaphoreService({ store: new MemorySemaphoreStore() })
 */
export class MemorySemaphoreStore extends SemaphoreStore {
  override readonly clock: Clock;
  private readonly memory: SharedMemory;

  /** @throws {InvalidOptionsError} */
  constructor(options: MemorySemaphoreStoreOptions = {}) {
    super();
    this.clock = merge({ clock: systemClock }, RULES, [options]).clock;
    this.memory = new SharedMemory(this.clock);
  }

  override connect(client: StoreClient, clientId = newClientId()): StoreSession {
    return new MemorySession(this.memory, client, clientId);
  }
}
