import { ChurningMap } from '../../churning-map.js';
import { Heap, type InHeap } from './heap.js';

/** What is held of a key. Times are those of the clock. */
export interface Held extends InHeap {
  readonly id: string;
  readonly weight: number;
  deadline: number;
  /** Released, but kept taken until the deadline: nobody's any more. */
  isReleased: boolean;
}

/** Who holds a key, in the order in which they got it. */
export class Holders<T extends Held> {
  private readonly byId = new ChurningMap<string, T>();
  private weights = 0;
  private noEndBefore = Infinity;
  /** Only from when somebody asks who ends first: most leases are given back before. */
  private byEnd: Heap<T> | undefined;

  get size(): number {
    return this.byId.size;
  }

  /** Weights held in all. */
  get held(): number {
    return this.weights;
  }

  /** No lease ends before this; renewals and releases leave it behind. */
  get nextEnd(): number {
    return this.noEndBefore;
  }

  get earliestEnd(): number {
    return this.ends().first?.deadline ?? Infinity;
  }

  /** The last to have got it that has not released it. */
  get last(): T | undefined {
    return this.all().findLast(({ isReleased }) => !isReleased);
  }

  all(): T[] {
    return Array.from(this.byId.values());
  }

  get(id: string): T | undefined {
    return this.byId.get(id);
  }

  /** @returns undefined also when it was released, and is kept */
  heldBy(id: string): T | undefined {
    const holder = this.byId.get(id);
    return holder?.isReleased ? undefined : holder;
  }

  add(holder: T): void {
    this.byId.set(holder.id, holder);
    this.weights += holder.weight;
    this.byEnd?.add(holder);
    this.expectEnd(holder.deadline);
  }

  endAt(holder: T, deadline: number): void {
    holder.deadline = deadline;
    this.byEnd?.moved(holder);
    this.expectEnd(deadline);
  }

  remove(holder: T): void {
    this.byId.delete(holder.id);
    if (this.byId.size === 0) this.byEnd = undefined;
    else this.byEnd?.remove(holder);
    this.weights -= holder.weight;
  }

  /** Takes those out whose leases are over. */
  removeEnded(now: number): T[] {
    const ended: T[] = [];
    for (
      let { first } = this.ends();
      first !== undefined && first.deadline <= now;
      first = this.byEnd?.first
    ) {
      this.remove(first);
      ended.push(first);
    }
    this.noEndBefore = this.earliestEnd;
    // Only the bound was behind: they are given back in time.
    if (ended.length === 0) this.byEnd = undefined;
    return ended;
  }

  private expectEnd(deadline: number): void {
    if (deadline < this.noEndBefore) this.noEndBefore = deadline;
  }

  private ends(): Heap<T> {
    if (this.byEnd === undefined) {
      this.byEnd = new Heap<T>(endsBefore);
      for (const holder of this.byId.values()) this.byEnd.add(holder);
    }
    return this.byEnd;
  }
}

function endsBefore(a: Held, b: Held): boolean {
  return a.deadline < b.deadline;
}
