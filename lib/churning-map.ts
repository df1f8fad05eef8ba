/** So many removals are a small part of what happens between two minor collections under load. */
const RENEW_AFTER = 256;

/**
 * A Map for entries that come and go all the time.
 *
 * A Map that makes itself a new table leaves the old one pointing at it. Once one of them has reached V8's old generation,
 * each minor collection takes all tables since, and whatever was in them, for alive, copies them, and moves them there too,
 * until the next major one: under load that took a quarter of the process's time. Here the tables of a Map are left for those
 * of another one from time to time, which nothing old points at.
 *
 * An iteration sees what was there when it began: also what is taken out meanwhile, when something is added as well.
 */
export class ChurningMap<K, V> {
  private map = new Map<K, V>();
  private removed = 0;

  get size(): number {
    return this.map.size;
  }

  get(key: K): V | undefined {
    return this.map.get(key);
  }

  has(key: K): boolean {
    return this.map.has(key);
  }

  set(key: K, value: V): void {
    if (this.removed >= RENEW_AFTER && this.removed >= this.map.size) this.renew();
    this.map.set(key, value);
  }

  /** @returns whether it was there */
  delete(key: K): boolean {
    const wasThere = this.map.delete(key);
    if (wasThere) this.removed++;
    return wasThere;
  }

  clear(): void {
    this.map = new Map();
    this.removed = 0;
  }

  keys(): IterableIterator<K> {
    return this.map.keys();
  }

  values(): IterableIterator<V> {
    return this.map.values();
  }

  [Symbol.iterator](): IterableIterator<[K, V]> {
    return this.map[Symbol.iterator]();
  }

  private renew(): void {
    const { map } = this;
    this.clear();
    for (const [key, value] of map) this.map.set(key, value);
  }
}

/** As {@link ChurningMap}, for values alone. */
export class ChurningSet<T> {
  private readonly values = new ChurningMap<T, true>();

  get size(): number {
    return this.values.size;
  }

  add(value: T): void {
    this.values.set(value, true);
  }

  /** @returns whether it was there */
  delete(value: T): boolean {
    return this.values.delete(value);
  }

  has(value: T): boolean {
    return this.values.has(value);
  }

  clear(): void {
    this.values.clear();
  }

  [Symbol.iterator](): IterableIterator<T> {
    return this.values.keys();
  }
}
