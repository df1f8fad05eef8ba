import { ChurningMap } from '../../churning-map.js';
import { Heap, type InHeap } from './heap.js';

/** What stands in the line: served by priority, then arrival. */
export interface InLine extends InHeap {
  readonly id: string;
  readonly priority: number;
  /** Grows with every arrival. */
  readonly arrival: number;
}

/** Waiters, any of whom can leave at any time without a walk along the line. */
export class WaitingLine<T extends InLine> {
  private readonly byId = new ChurningMap<string, T>();
  private readonly heap = new Heap<T>(isBefore);

  get size(): number {
    return this.heap.size;
  }

  /** The one to be served next. */
  get first(): T | undefined {
    return this.heap.first;
  }

  get(id: string): T | undefined {
    return this.byId.get(id);
  }

  add(waiter: T): void {
    this.byId.set(waiter.id, waiter);
    this.heap.add(waiter);
  }

  /** Takes the waiter out of the line, wherever it stands. */
  remove(id: string): T | undefined {
    const waiter = this.byId.get(id);
    if (waiter === undefined) return undefined;
    this.byId.delete(id);
    this.heap.remove(waiter);
    return waiter;
  }

  /** All of them, in the order in which they will be served. */
  inOrder(): T[] {
    return this.heap.inOrder();
  }
}

function isBefore(a: InLine, b: InLine): boolean {
  return a.priority === b.priority ? a.arrival < b.arrival : a.priority > b.priority;
}
