import { ChurningMap } from '../../churning-map.js';

/** What stands in the line: served by priority, then arrival. */
export interface InLine {
  readonly id: string;
  readonly priority: number;
  /** Grows with every arrival. */
  readonly arrival: number;
}

/** Waiters in a binary heap, so that any of them can leave at any time without a walk along the line. */
export class WaitingLine<T extends InLine> {
  private readonly heap: T[] = [];
  private readonly positions = new ChurningMap<string, number>();

  get size(): number {
    return this.heap.length;
  }

  /** The one to be served next. */
  get first(): T | undefined {
    return this.heap[0];
  }

  get(id: string): T | undefined {
    const position = this.positions.get(id);
    return position === undefined ? undefined : this.heap[position];
  }

  add(waiter: T): void {
    this.heap.push(waiter);
    this.moveUp(waiter, this.heap.length - 1);
  }

  /** Takes the waiter out of the line, wherever it stands. */
  remove(id: string): T | undefined {
    const position = this.positions.get(id);
    if (position === undefined) return undefined;
    const removed = this.heap[position];
    const last = this.heap.pop();
    this.positions.delete(id);
    if (last !== undefined && last !== removed) {
      // It comes from another branch: it may belong further up as well as further down.
      this.moveDown(last, this.moveUp(last, position));
    }
    return removed;
  }

  /** All of them, in the order in which they will be served. */
  inOrder(): T[] {
    return this.heap.toSorted((a, b) => (isBefore(a, b) ? -1 : 1));
  }

  private moveUp(waiter: T, from: number): number {
    let position = from;
    while (position > 0) {
      const above = (position - 1) >> 1;
      const parent = this.heap[above];
      if (parent === undefined || !isBefore(waiter, parent)) break;
      this.put(parent, position);
      position = above;
    }
    this.put(waiter, position);
    return position;
  }

  private moveDown(waiter: T, from: number): void {
    let position = from;
    for (;;) {
      const left = 2 * position + 1;
      const next = this.earlier(left, left + 1);
      const child = this.heap[next];
      if (child === undefined || !isBefore(child, waiter)) break;
      this.put(child, position);
      position = next;
    }
    this.put(waiter, position);
  }

  /** Which of two neighbours is served first; `a` when there is no `b`. */
  private earlier(a: number, b: number): number {
    const first = this.heap[a];
    const second = this.heap[b];
    return first !== undefined && second !== undefined && isBefore(second, first) ? b : a;
  }

  private put(waiter: T, position: number): void {
    this.heap[position] = waiter;
    this.positions.set(waiter.id, position);
  }
}

function isBefore(a: InLine, b: InLine): boolean {
  return a.priority === b.priority ? a.arrival < b.arrival : a.priority > b.priority;
}
