import type { ChurningMap } from '../churning-map.js';
import { HeldPermit } from './held-permit.js';
import type { UnkeptPermit } from './unkept-permit.js';
import type { Waiter } from './waiter.js';

/** Who waits or holds. */
export type Entry = Waiter | HeldPermit | UnkeptPermit;

/** The weights of a key that this process holds by the store. */
export function weightHeld(entries: ChurningMap<string, Entry>, key: string): number {
  let held = 0;
  for (const entry of entries.values()) {
    if (entry instanceof HeldPermit && entry.key === key) held += entry.weight;
  }
  return held;
}
