import type { LostReason } from '../semaphore.errors.js';
import type { RejectedReason } from '../semaphore.events.js';
import type { Attributes } from './open-telemetry.js';

/** Below the 2,000 series of an instrument beyond which SDKs put everything into one. */
const MAX_NAMES = 1_000;

/** One series of a counter. */
export interface Count {
  readonly attributes: Attributes;
  value: number;
}

/** What happens to the semaphores of one name: numbers, which are read when metrics are collected. */
export class Tally {
  held = 0;
  waiting = 0;
  acquired = 0;
  degraded = 0;
  readonly rejected = new Map<RejectedReason, Count>();
  readonly lost = new Map<LostReason, Count>();
  readonly degradedAttributes: Attributes;

  constructor(readonly attributes: Attributes) {
    this.degradedAttributes = { ...attributes, 'semaphore.degraded': true };
  }

  /** Counts one more. @returns the attributes of all with this reason */
  count<R extends string>(counts: Map<R, Count>, reason: R): Attributes {
    let count = counts.get(reason);
    if (count === undefined) {
      count = { attributes: { ...this.attributes, 'semaphore.reason': reason }, value: 0 };
      counts.set(reason, count);
    }
    count.value++;
    return count.attributes;
  }
}

/** Tallies by name, those of names beyond {@link MAX_NAMES} in one. */
export class Tallies {
  private readonly byName = new Map<string, Tally>();
  private readonly overflow = new Tally({ 'otel.metric.overflow': true });

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
