import { setImmediate } from 'node:timers';
import { ChurningMap } from '../churning-map.js';
import type { ResolvedOptions } from '../resolve-options.js';
import type { Clock } from '../store/clock.js';
import { EarliestTimer } from '../store/earliest-timer.js';
import type { HeldPermit } from './held-permit.js';
import { isKeptAlive } from './lease-times.js';
import type { Waiter } from './waiter.js';
import { WaitingRanks } from './waiting-ranks.js';

/**
 * From the grant on: others wait this much longer at most, and for the work that has begun by then. For so long the limit is
 * taken to be what it was; no message tells of a change.
 */
const PASS_WITHIN_MS = 100;

/**
 * So long after it was taken a place may be somebody's who comes later: then it is given up, and who comes stands behind those of
 * other processes who were there before.
 */
const ADOPT_WITHIN_MS = 100;

/** Whatever is left of the lease is a new holder's. */
const MIN_LEFT_MS = 1000;

/** A place in the store's queue, for a request with these options. */
export interface Place {
  readonly id: string;
  readonly options: ResolvedOptions;
  readonly takenAt: number;
}

interface Line {
  /** Who waits here and takes passes. */
  readonly waiters: WaitingRanks;
  /** Places in the store's queue that were left when their waiters were served here: for those who come next. */
  readonly places: Place[];
  /** When they are given up, whoever holds the permit then: the store counts them among those who wait. */
  leaveAt: number;
}

/**
 * Who of this process may be given a permit that was released here, without asking the store (`localPasses`). The permit
 * stays the same for the store; its token is counted up within what the store leaves free.
 */
export class LocalPasses {
  private readonly lines = new ChurningMap<string, Line>();

  private readonly timer: EarliestTimer;

  /** @param leave tells the store that nobody stands at a place any more */
  constructor(
    private readonly clock: Clock,
    private readonly leave: (key: string, id: string) => void,
  ) {
    this.timer = new EarliestTimer(clock, () => this.leaveOld());
  }

  /** A place for a newcomer, whose waiter would need such a one. */
  adopt(key: string, options: ResolvedOptions): Place | undefined {
    const line = this.lines.get(key);
    if (line === undefined || line.places.length === 0) return undefined;
    const takenAfter = this.clock.now() - ADOPT_WITHIN_MS;
    const at = line.places.findIndex(
      (place) => place.takenAt > takenAfter && isForBoth(place.options, options),
    );
    return at < 0 ? undefined : line.places.splice(at, 1)[0];
  }

  add(waiter: Waiter): void {
    let line = this.lines.get(waiter.key);
    if (line === undefined) {
      line = { waiters: new WaitingRanks(), places: [], leaveAt: Infinity };
      this.lines.set(waiter.key, line);
    }
    line.waiters.add(waiter);
  }

  /** The waiter waits no more. */
  remove(waiter: Waiter): void {
    if (waiter.rankLink === undefined) return;
    const line = this.lines.get(waiter.key);
    line?.waiters.delete(waiter);
    this.tidy(waiter.key, line);
  }

  /** Who came first of those whom the store treats as it does this one: its place may be one that was left before. */
  firstLike(waiter: Waiter): Waiter {
    const line = waiter.rankLink === undefined ? undefined : this.lines.get(waiter.key);
    if (line === undefined) return waiter;
    for (const other of line.waiters.of(waiter.options.priority)) {
      if (isAlike(other.options, waiter.options)) return other;
    }
    return waiter;
  }

  /** The store served a place, or dropped it. */
  forget(key: string, id: string): void {
    const line = this.lines.get(key);
    const at = line?.places.findIndex((place) => place.id === id) ?? -1;
    if (at >= 0) line?.places.splice(at, 1);
    this.tidy(key, line);
  }

  /** Who is to have a permit that is being released; its place is left for others. */
  take(permit: HeldPermit, now: number): Waiter | undefined {
    const { options } = permit;
    const line = this.lines.get(permit.key);
    if (line === undefined || permit.passes >= options.localPasses) return undefined;
    // Tokens of others may lie between those of two passes, unless there can be no others.
    if (permit.weight < permit.permits) return undefined;
    if (permit.hasOtherLease) return undefined;
    const leftMs = permit.deadline - now;
    if (now - permit.grantedSince >= PASS_WITHIN_MS) return undefined;
    if (leftMs < Math.min(MIN_LEFT_MS, options.leaseMs / 2)) return undefined;
    // Only the first: nobody is passed over.
    const { first } = line.waiters;
    if (first === undefined || !isAlike(options, first.options)) return undefined;
    if (!isKeptAlive(first.options) || first.options.holdAtLeastMs > 0) return undefined;
    line.waiters.delete(first);
    if (line.places.length === 0) {
      line.leaveAt = now + ADOPT_WITHIN_MS;
      this.timer.expect(line.leaveAt);
    }
    line.places.push({ id: first.id, options: first.options, takenAt: first.placedAt });
    return first;
  }

  /** The permit goes back to the store. Places that nobody takes in this turn are given up. */
  end(key: string): void {
    const line = this.lines.get(key);
    if (line === undefined || line.places.length === 0) return;
    setImmediate(() => this.leaveAll(key, line));
  }

  /** The store is away, and tells nobody any more that a place is served; or nobody comes any more. */
  abandon(): void {
    for (const [key, line] of [...this.lines]) this.leaveAll(key, line);
  }

  private leaveOld(): void {
    const now = this.clock.now();
    for (const [key, line] of [...this.lines]) {
      if (line.places.length === 0) continue;
      if (line.leaveAt <= now) this.leaveAll(key, line);
      else this.timer.expect(line.leaveAt);
    }
  }

  private leaveAll(key: string, line: Line): void {
    for (const { id } of line.places.splice(0)) this.leave(key, id);
    this.tidy(key, line);
  }

  private tidy(key: string, line: Line | undefined): void {
    const isOver = line?.waiters.isEmpty === true && line.places.length === 0;
    // In the turn in which it was to be left it may have gone already, and another one come.
    if (isOver && this.lines.get(key) === line) this.lines.delete(key);
  }
}

/** Whether one of them may stand where the other stood: in a queue as long as both put up with. */
function isForBoth(a: ResolvedOptions, b: ResolvedOptions): boolean {
  return a === b || (a.maxWaiting === b.maxWaiting && isAlike(a, b));
}

/** Whether the store would treat both the same, and their leases are renewed alike: that goes on where it is. */
function isAlike(a: ResolvedOptions, b: ResolvedOptions): boolean {
  return (
    a === b ||
    (a.permits === b.permits &&
      a.weight === b.weight &&
      a.priority === b.priority &&
      a.leaseMs === b.leaseMs &&
      a.renew === b.renew &&
      a.maxHoldMs === b.maxHoldMs &&
      a.label === b.label)
  );
}
