import type { LostReason } from '../semaphore.errors.js';
import type { RejectedReason } from '../semaphore.events.js';
import type { Attributes } from './open-telemetry.js';

/**
 * An instrument has fewer than the 2,000 series beyond which SDKs put everything into one, and lose counts: so many with a
 * name only, and so many that say more.
 */
const MAX_NAMES = 1_000;
const MAX_DETAILED = 980;

/** One series of a counter. */
interface Count {
  readonly attributes: Attributes;
  value: number;
}

/** What happens to the semaphores of one name: numbers, which are read when metrics are collected. */
export class Tally {
  held = 0;
  waiting = 0;
  acquired = 0;

  constructor(readonly attributes: Attributes) {}
}

/** Counts by name and by one thing more, what comes beyond {@link MAX_DETAILED} series without the name. */
class DetailedCounts<Detail> {
  private readonly byTally = new Map<Tally, Map<Detail, Count>>();
  private size = 0;

  constructor(
    private readonly overflow: Tally,
    private readonly toAttributes: (detail: Detail) => Attributes,
  ) {}

  /** Counts one more. @returns the attributes of its series */
  add(tally: Tally, detail: Detail): Attributes {
    const count = this.byTally.get(tally)?.get(detail) ?? this.create(tally, detail);
    count.value++;
    return count.attributes;
  }

  has(tally: Tally, detail: Detail): boolean {
    return this.byTally.get(tally)?.has(detail) ?? false;
  }

  *[Symbol.iterator](): Iterator<Count> {
    for (const counts of this.byTally.values()) yield* counts.values();
  }

  private create(tally: Tally, detail: Detail): Count {
    const isFull = this.size >= MAX_DETAILED;
    const place = isFull ? this.overflow : tally;
    const counts = this.byTally.get(place) ?? new Map<Detail, Count>();
    this.byTally.set(place, counts);
    const known = counts.get(detail);
    if (known !== undefined) return known;
    const attributes = { ...place.attributes, ...this.toAttributes(detail) };
    const count = { attributes, value: 0 };
    counts.set(detail, count);
    this.size++;
    return count;
  }
}

/** Tallies by name, those of names beyond {@link MAX_NAMES} in one. */
export class Tallies {
  private readonly byName = new Map<string, Tally>();
  private readonly overflow = new Tally({ 'otel.metric.overflow': true });

  readonly degraded = new DetailedCounts<true>(this.overflow, (isDegraded) => ({
    'semaphore.degraded': isDegraded,
  }));
  readonly rejected = new DetailedCounts<RejectedReason>(this.overflow, attributesOf);
  readonly lost = new DetailedCounts<LostReason>(this.overflow, attributesOf);

  of(name: string): Tally {
    const known = this.byName.get(name);
    if (known !== undefined) return known;
    if (this.byName.size >= MAX_NAMES) return this.overflow;
    const tally = new Tally({ 'semaphore.name': name });
    this.byName.set(name, tally);
    return tally;
  }

  *[Symbol.iterator](): Iterator<Tally> {
    yield* this.byName.values();
    if (this.byName.size >= MAX_NAMES) yield this.overflow;
  }
}

function attributesOf(reason: RejectedReason | LostReason): Attributes {
  return { 'semaphore.reason': reason };
}
