import { ChurningMap } from '../churning-map.js';
import { lastIndexThatFits } from './last-index.js';
import { type Link, LinkedList } from './linked-list.js';
import type { Waiter } from './waiter.js';

/** Who waits with one priority, in order of arrival. */
interface Rank {
  readonly priority: number;
  readonly waiters: LinkedList<Waiter>;
}

/** Who waits, by priority and arrival: nobody comes, leaves or is served by a walk along the others. */
export class WaitingRanks {
  /** The lowest priority first; none is empty. */
  private readonly ranks: Rank[] = [];
  private readonly links = new ChurningMap<Waiter, Link<Waiter>>();

  get size(): number {
    return this.links.size;
  }

  /** Who would be served first, if all stood in the store's queue. */
  get first(): Waiter | undefined {
    return this.ranks.at(-1)?.waiters.first;
  }

  has(waiter: Waiter): boolean {
    return this.links.has(waiter);
  }

  /** No effect when it waits here. */
  add(waiter: Waiter): void {
    if (this.links.has(waiter)) return;
    const { priority } = waiter.options;
    const below = this.upTo(priority);
    let rank = this.ranks[below];
    if (rank?.priority !== priority) {
      rank = { priority, waiters: new LinkedList() };
      this.ranks.splice(below + 1, 0, rank);
    }
    this.links.set(waiter, rank.waiters.add(waiter));
  }

  /** No effect when it does not wait here. */
  delete(waiter: Waiter): void {
    const link = this.links.get(waiter);
    if (link === undefined) return;
    this.links.delete(waiter);
    const at = this.upTo(waiter.options.priority);
    const waiters = this.ranks[at]?.waiters;
    waiters?.remove(link);
    if (waiters?.first === undefined) this.ranks.splice(at, 1);
  }

  /** All with this priority, in order of arrival. */
  of(priority: number): Iterable<Waiter> {
    const rank = this.ranks[this.upTo(priority)];
    return rank?.priority === priority ? rank.waiters : [];
  }

  /** Where the highest rank stands that is not above the priority. */
  private upTo(priority: number): number {
    return lastIndexThatFits(this.ranks, (rank) => rank.priority <= priority);
  }
}
