import { ChurningMap } from '../churning-map.js';
import {
  fromWire,
  leaseFromWire,
  toWire,
  type WireAcquireReply,
  type WireCall,
  type WireLease,
} from '../store/remote/wire.js';
import type { Clock } from '../store/clock.js';
import type { AcquireReply, AcquireRequest, Lease } from '../store/semaphore-store.js';
import type { Answer } from './remote.calls.js';

interface Held {
  key: string;
  /** Local time until which its holder may believe that it is held. */
  until: number;
}

/** Fewer than that are not worth looking for those that have lapsed. */
const FEW = 100;

export type Renewal = Extract<WireCall, { op: 'renew' }>;
type Cancel = Extract<WireCall, { op: 'cancel' }>;
type Acquire = Extract<WireCall, { op: 'acquire' }>;

/** What this process waits for and holds: to be asked for again at a server that may know nothing of it. */
export class RemotePermits {
  private readonly waiting = new ChurningMap<string, AcquireRequest>();
  private readonly held = new ChurningMap<string, Held>();
  private readonly lost = new Map<string, string>();
  private sweepAt = FEW;

  constructor(private readonly clock: Clock) {}

  get isEmpty(): boolean {
    return this.waiting.size === 0 && this.held.size === 0;
  }

  /** Notes what a server answered to an `acquire`. */
  acquired(request: AcquireRequest, { value, toLocal }: Answer<WireAcquireReply>): AcquireReply {
    if (value.status === 'granted') {
      const grant = leaseFromWire(value.grant, toLocal);
      this.noteHeld(request.key, request.id, grant.deadline);
      return { status: 'granted', grant };
    }
    if (value.status === 'waiting') {
      // Its grant may have been quicker.
      if (!this.held.has(request.id)) this.waiting.set(request.id, request);
      return value;
    }
    return { status: value.status, retryAfterMs: fromWire(value.retryAfterMs) };
  }

  /** Notes what a server answered to a `renew`. */
  renewed(
    { key, id }: Pick<Renewal, 'key' | 'id'>,
    { value, toLocal }: Answer<WireLease | null>,
  ): Lease | null {
    if (value === null) {
      this.forget(id);
      return null;
    }
    const lease = leaseFromWire(value, toLocal);
    this.noteHeld(key, id, lease.deadline);
    return lease;
  }

  noteHeld(key: string, id: string, until: number): void {
    this.waiting.delete(id);
    this.held.set(id, { key, until });
    if (this.held.size >= this.sweepAt) this.sweep();
  }

  /** A renewal is on its way: until its answer either of the two ends may be the true one. */
  willHold(id: string, until: number): void {
    const held = this.held.get(id);
    if (held !== undefined) held.until = Math.max(held.until, until);
  }

  forget(id: string): void {
    this.waiting.delete(id);
    this.held.delete(id);
    this.lost.delete(id);
  }

  /** Forgets permits that have lapsed, as those of a lock server's clients may: nobody tells of them. */
  private sweep(): void {
    const now = this.clock.now();
    for (const [id, { until }] of this.held) if (until <= now) this.held.delete(id);
    this.sweepAt = Math.max(FEW, 2 * this.held.size);
  }

  /** Calls that make every lease at least as long as its holder believes. */
  renewals(now: number): Renewal[] {
    const renewals: Renewal[] = [];
    for (const [id, { key, until }] of this.held) {
      if (until <= now) this.held.delete(id);
      else renewals.push({ op: 'renew', key, id, leaseMs: toWire(Math.max(1, until - now)) });
    }
    return renewals;
  }

  /** What waits, in its order. */
  requests(): AcquireRequest[] {
    return [...this.waiting.values()];
  }

  /** Takes out what nobody may believe to be held when the server is out of reach for long. */
  distrust(): { key: string; id: string }[] {
    const lost = [...this.held].filter(([, { until }]) => until !== Infinity);
    for (const [id, { key }] of lost) {
      this.held.delete(id);
      this.lost.set(id, key);
    }
    return lost.map(([id, { key }]) => ({ key, id }));
  }

  /** Calls that free what was taken out so: its lease may not have ended yet. */
  cancels(): Cancel[] {
    return Array.from(this.lost, ([id, key]) => ({ op: 'cancel', key, id }));
  }
}

export function toAcquire(request: AcquireRequest): Acquire {
  const { leaseMs, maxWaiting, label, ...rest } = request;
  return {
    op: 'acquire',
    ...rest,
    leaseMs: toWire(leaseMs),
    maxWaiting: toWire(maxWaiting),
    ...(label === undefined ? {} : { label }),
  };
}
