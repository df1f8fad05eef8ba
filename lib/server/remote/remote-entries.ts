import { ChurningMap } from '../../churning-map.js';
import type { Clock } from '../../store/clock.js';

/** What a session of RemoteSemaphoreStore waits for or holds, as far as the server has heard. */
export interface RemoteEntry {
  readonly key: string;
  leaseMs: number;
  isHeld: boolean;
  /** By the store's clock. */
  deadline: number;
  /** Granted while nobody listened: the client may not know. */
  isUnheard: boolean;
}

/** An entry whose lease ended this long ago was forgotten by its client. */
const FORGOTTEN_MS = 60_000;

/** The entries of one session, by permit id. */
export class RemoteEntries {
  private readonly byId = new ChurningMap<string, RemoteEntry>();

  constructor(private readonly clock: Clock) {}

  get size(): number {
    return this.byId.size;
  }

  /** @returns false when it is known already */
  noteWaiting(key: string, id: string, leaseMs: number): boolean {
    if (this.byId.has(id)) return false;
    this.byId.set(id, { key, leaseMs, isHeld: false, deadline: Infinity, isUnheard: false });
    return true;
  }

  /** @param leaseMs left out where it is what was asked for */
  noteHeld(key: string, id: string, deadline: number, leaseMs?: number): RemoteEntry {
    const asked = this.byId.get(id)?.leaseMs ?? 0;
    const entry = { key, leaseMs: leaseMs ?? asked, isHeld: true, deadline, isUnheard: false };
    this.byId.set(id, entry);
    return entry;
  }

  has(id: string): boolean {
    return this.byId.has(id);
  }

  isHeld(id: string): boolean {
    return this.byId.get(id)?.isHeld === true;
  }

  forget(id: string): void {
    this.byId.delete(id);
  }

  heard(): void {
    for (const entry of this.byId.values()) entry.isUnheard = false;
  }

  held(): [id: string, entry: RemoteEntry][] {
    return [...this.byId].filter(([, { isHeld }]) => isHeld);
  }

  /** Drops what ended long ago without a word of its holder. */
  tidy(): void {
    const end = this.clock.now() - FORGOTTEN_MS;
    for (const [id, { deadline }] of this.byId) {
      if (deadline < end) this.byId.delete(id);
    }
  }
}
