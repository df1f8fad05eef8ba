/** What stands in a list. */
export interface Link<T> {
  readonly value: T;
  before: Link<T> | undefined;
  after: Link<T> | undefined;
}

/** A line that its first and anybody else leaves without a walk along it or a move of the others. */
export class LinkedList<T> {
  private head: Link<T> | undefined;
  private tail: Link<T> | undefined;

  get first(): T | undefined {
    return this.head?.value;
  }

  /** @returns what {@link remove} takes */
  add(value: T): Link<T> {
    const link: Link<T> = { value, before: this.tail, after: undefined };
    if (this.tail === undefined) this.head = link;
    else this.tail.after = link;
    this.tail = link;
    return link;
  }

  /** Takes the first out. */
  shift(): T | undefined {
    const link = this.head;
    if (link !== undefined) this.remove(link);
    return link?.value;
  }

  /** @param link of this list; no effect when it has left it */
  remove(link: Link<T>): void {
    const { before, after } = link;
    if (before === undefined && link !== this.head) return;
    if (before === undefined) this.head = after;
    else before.after = after;
    if (after === undefined) this.tail = before;
    else after.before = before;
    // One that is old would keep those behind it in memory until the next major collection.
    link.before = link.after = undefined;
  }

  *[Symbol.iterator](): IterableIterator<T> {
    for (let link = this.head; link !== undefined; link = link.after) yield link.value;
  }
}
