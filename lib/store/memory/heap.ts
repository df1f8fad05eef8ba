/** What stands in a {@link Heap}, in one at most. */
export interface InHeap {
  /** Where: the heap's own. */
  position: number;
}

/** A binary heap that any of its items leaves, or changes its place in, without a walk through the others. */
export class Heap<T extends InHeap> {
  private readonly items: T[] = [];

  constructor(private readonly isBefore: (a: T, b: T) => boolean) {}

  get size(): number {
    return this.items.length;
  }

  get first(): T | undefined {
    return this.items[0];
  }

  add(item: T): void {
    this.items.push(item);
    this.moveUp(item, this.items.length - 1);
  }

  /** @param item that is in the heap */
  remove(item: T): void {
    const last = this.items.pop();
    if (last !== undefined && last !== item) this.settle(last, item.position);
  }

  /** What the order goes by has changed. @param item that is in the heap */
  moved(item: T): void {
    this.settle(item, item.position);
  }

  inOrder(): T[] {
    return this.items.toSorted((a, b) => (this.isBefore(a, b) ? -1 : 1));
  }

  /** Puts the item where it belongs, which may be further up as well as further down. */
  private settle(item: T, position: number): void {
    this.moveDown(item, this.moveUp(item, position));
  }

  private moveUp(item: T, from: number): number {
    let position = from;
    while (position > 0) {
      const above = (position - 1) >> 1;
      const parent = this.items[above];
      if (parent === undefined || !this.isBefore(item, parent)) break;
      this.put(parent, position);
      position = above;
    }
    this.put(item, position);
    return position;
  }

  private moveDown(item: T, from: number): void {
    let position = from;
    for (;;) {
      const left = 2 * position + 1;
      const next = this.earlier(left, left + 1);
      const child = this.items[next];
      if (child === undefined || !this.isBefore(child, item)) break;
      this.put(child, position);
      position = next;
    }
    this.put(item, position);
  }

  /** Which of two neighbours is first; `a` when there is no `b`. */
  private earlier(a: number, b: number): number {
    const first = this.items[a];
    const second = this.items[b];
    return first !== undefined && second !== undefined && this.isBefore(second, first) ? b : a;
  }

  private put(item: T, position: number): void {
    this.items[position] = item;
    item.position = position;
  }
}
