import { ChurningMap } from '../churning-map.js';
import { HeldPermit } from './held-permit.js';
import type { UnkeptPermit } from './unkept-permit.js';
import type { Waiter } from './waiter.js';

/** Who waits or holds. */
export type Entry = Waiter | HeldPermit | UnkeptPermit;

/** Who waits and who holds, by id. */
export class Entries {
  private readonly byId = new ChurningMap<string, Entry>();
  /** What is held by the store, by key; undefined while nobody asks. */
  private weights: Map<string, number> | undefined;

  get size(): number {
    return this.byId.size;
  }

  get(id: string): Entry | undefined {
    return this.byId.get(id);
  }

  values(): IterableIterator<Entry> {
    return this.byId.values();
  }

  set(id: string, entry: Entry): void {
    if (this.weights !== undefined) this.replace(this.weights, id, entry);
    this.byId.set(id, entry);
  }

  delete(id: string): void {
    if (this.weights !== undefined) this.replace(this.weights, id);
    this.byId.delete(id);
  }

  /**
   * The weights of a key that this process holds by the store. The first to ask has all entries looked through; from then on
   * they are counted.
   */
  weightHeld(key: string): number {
    if (this.weights === undefined) {
      this.weights = new Map();
      for (const entry of this.byId.values()) count(this.weights, entry, 1);
    }
    return this.weights.get(key) ?? 0;
  }

  /** Nobody asks for weights for a while. */
  stopCounting(): void {
    this.weights = undefined;
  }

  private replace(weights: Map<string, number>, id: string, entry?: Entry): void {
    count(weights, this.byId.get(id), -1);
    count(weights, entry, 1);
  }
}

function count(weights: Map<string, number>, entry: Entry | undefined, sign: 1 | -1): void {
  if (!(entry instanceof HeldPermit)) return;
  const held = (weights.get(entry.key) ?? 0) + sign * entry.weight;
  if (held === 0) weights.delete(entry.key);
  else weights.set(entry.key, held);
}
