import {
  type FlightLook,
  FORGOTTEN_MS,
  KEEP_AT_LEAST_MS,
  type Publication,
  type PublicationListener,
  type SingleFlightStore,
  stateOfResult,
} from '../single-flight-store.js';
import type { Owner } from './host.js';
import type { KeyState } from './key-state.js';
import type { SharedMemory } from './shared-memory.js';

/** Single flights of one session of the memory store. */
export class MemoryFlights implements SingleFlightStore {
  /** Called in a later microtask than the operation that causes it. */
  published: PublicationListener = () => undefined;
  forgotten: (key: string) => void = () => undefined;

  constructor(
    private readonly memory: SharedMemory,
    private readonly owner: Owner,
    private readonly run: <T>(key: string, operation: (state: KeyState, now: number) => T) => T,
  ) {}

  listen(published: PublicationListener, forgotten: (key: string) => void): void {
    this.published = published;
    this.forgotten = forgotten;
  }

  async look(key: string, seen = Infinity): Promise<FlightLook> {
    return this.run(key, (state, now) => {
      const result = this.memory.results.get(key);
      const found = result?.payload === undefined ? 'none' : stateOfResult(result, now, seen);
      return {
        state: found,
        payload: found === 'none' ? '' : (result?.payload ?? ''),
        freshUntil: result?.freshUntil ?? 0,
        token: result?.token ?? 0,
        isLed: state.leader !== undefined,
        waiting: state.waiting,
        at: this.memory.toEpoch(now),
      };
    });
  }

  async publish(key: string, publication: Publication): Promise<boolean> {
    const { permitId, payload, freshMs, staleMs } = publication;
    return this.run(key, (state, now) => {
      const { leader } = state;
      if (leader?.id !== permitId) return false;
      const token = leader.fencingToken;
      const last = this.memory.results.get(key);
      const isNewer = last !== undefined && last.token > token;
      if (isNewer && last.payload !== undefined) return false;
      const freshUntil = now + freshMs;
      const usableUntil = freshUntil + staleMs;
      // What nobody may use later does not take the place of what can still be used.
      if (!isNewer && (usableUntil > now || (last?.usableUntil ?? 0) <= now)) {
        const keepMs = Math.max(usableUntil - now, KEEP_AT_LEAST_MS);
        const result = { token, payload, arrivals: state.arrivals, freshUntil, usableUntil };
        this.memory.results.set(key, result, keepMs);
      }
      const owners = state.dismissWaiters(isNewer ? last.arrivals : Infinity);
      for (const owner of owners) {
        owner.tell((_, flights) => flights.published(key, token, payload));
      }
      return true;
    });
  }

  async forget(key: string): Promise<void> {
    this.run(key, (state, now) => {
      const leader = state.leader?.fencingToken ?? Infinity;
      const last = this.memory.results.get(key);
      // Who came after it was forgotten once more waits for the next leader, too: the first time counts.
      if (last === undefined || last.payload !== undefined || last.token <= leader) {
        // Of its own: what was published before is older, though it may be heard later, and the next leader's is newer.
        const token = this.memory.nextToken(now);
        const { arrivals } = state;
        const nothing = { token, payload: undefined, arrivals, freshUntil: 0, usableUntil: 0 };
        const keepMs = leader === Infinity ? KEEP_AT_LEAST_MS : FORGOTTEN_MS;
        this.memory.results.set(key, nothing, keepMs);
      }
      for (const owner of state.owners) {
        if (owner !== this.owner) owner.tell((_, flights) => flights.forgotten(key));
      }
    });
  }
}
