import { lastIndexThatFits } from './last-index.js';
import { LinkedList } from './linked-list.js';
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

  get isEmpty(): boolean {
    return this.ranks.length === 0;
  }

  /** Who would be served first, if all stood in the store's queue. */
  get first(): Waiter | undefined {
    return this.ranks.at(-1)?.waiters.first;
  }

  /** No effect when it waits here. */
  add(waiter: Waiter): void {
    if (waiter.rankLink !== undefined) return;
    const { priority } = waiter.options;
    const below = this.upTo(priority);
    let rank = this.ranks[below];
    if (rank?.priority !== priority) {
      rank = { priority, waiters: new LinkedList() };
      this.ranks.splice(below + 1, 0, rank);
    }
    waiter.rankLink = rank.waiters.add(waiter);
  }

  /** No effect when it does not wait here. */
  delete(waiter: Waiter): void {
    const { rankLink } = waiter;
    if (rankLink === undefined) return;
    waiter.rankLink = undefined;
    const at = this.upTo(waiter.options.priority);
    const waiters = this.ranks[at]?.waiters;
    waiters?.remove(rankLink);
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
