import { ChurningMap } from '../../churning-map.js';

/** What is held of a key. Times are those of the clock. */
export interface Held {
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
    let end = Infinity;
    for (const { deadline } of this.byId.values()) end = Math.min(end, deadline);
    return end;
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
    this.endAt(holder, holder.deadline);
  }

  endAt(holder: T, deadline: number): void {
    holder.deadline = deadline;
    if (deadline < this.noEndBefore) this.noEndBefore = deadline;
  }

  remove(holder: T): void {
    this.byId.delete(holder.id);
    this.weights -= holder.weight;
  }

  /** Takes those out whose leases are over. */
  removeEnded(now: number): T[] {
    const ended = this.all().filter(({ deadline }) => deadline <= now);
    for (const holder of ended) this.remove(holder);
    this.noEndBefore = this.earliestEnd;
    return ended;
  }
}
