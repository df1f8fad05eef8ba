import { inMicrotask } from '../../in-microtask.js';
import { SemaphoreClosedError } from '../../semaphore.errors.js';
import type {
  AcquireReply,
  AcquireRequest,
  Lease,
  ReleaseOutcome,
  StoreClient,
  StoreHealth,
  StoreSnapshot,
  StoreSession,
} from '../semaphore-store.js';
import { globMatcher } from '../glob.js';
import type { FlightListener, Owner } from './host.js';
import type { KeyState } from './key-state.js';
import { MemoryFlights } from './memory.flights.js';
import type { SharedMemory } from './shared-memory.js';

/**
 * Operations take effect when they are called. What follows from them is told to the clients in later microtasks, in
 * order: no client is called while an operation of its own process runs, not even for a grant to itself.
 */
export class MemorySession implements StoreSession, Owner {
  readonly flights: MemoryFlights;
  private isClosed = false;

  constructor(
    private readonly memory: SharedMemory,
    private readonly client: StoreClient,
    readonly clientId: string,
  ) {
    this.flights = new MemoryFlights(memory, this, (key, operation) => this.run(key, operation));
  }

  async acquire(request: AcquireRequest): Promise<AcquireReply> {
    return this.run(request.key, (state, now) => state.acquire(request, this, now));
  }

  async cancel(key: string, id: string): Promise<void> {
    this.run(key, (state, now) => state.cancel(id, this, now));
  }

  async release(
    key: string,
    id: string,
    holdAtLeastMs: number,
    lastToken = 0,
  ): Promise<ReleaseOutcome> {
    return this.run(key, (state, now) => state.release(id, holdAtLeastMs, now, lastToken));
  }

  async renew(key: string, id: string, leaseMs: number): Promise<Lease | null> {
    return this.run(key, (state, now) => state.renew(id, leaseMs, now));
  }

  async inspect(key: string): Promise<StoreSnapshot> {
    return this.run(key, (state, now) => state.snapshot(now));
  }

  async *list(pattern: string, isWanted?: (key: string) => boolean): AsyncGenerator<string> {
    this.requireOpen();
    yield* this.memory.usedKeys(globMatcher(pattern, isWanted));
  }

  async setPermits(key: string, permits: number | null): Promise<void> {
    this.run(key, (state, now) => state.setPermits(permits, this, now));
  }

  async forceRelease(key: string, id: string, onlyWaiting = false): Promise<boolean> {
    return this.run(key, (state, now) => state.forceRelease(id, onlyWaiting, now));
  }

  async health(): Promise<StoreHealth> {
    this.requireOpen();
    return { latencyMs: 0, isListening: true, silentMs: 0 };
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    this.memory.dismiss(this);
  }

  tell(message: (client: StoreClient, flights: FlightListener) => void): void {
    inMicrotask(() => {
      if (!this.isClosed) message(this.client, this.flights);
    });
  }

  private run<T>(key: string, operation: (state: KeyState, now: number) => T): T {
    this.requireOpen(key);
    return this.memory.run(key, operation);
  }

  private requireOpen(key?: string): void {
    if (this.isClosed) throw new SemaphoreClosedError(key);
  }
}
