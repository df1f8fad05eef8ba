import type { StopTimer } from '../clock.js';
import {
  type AcquireReply,
  type AcquireRequest,
  type Grant,
  type Lease,
  type ReleaseOutcome,
  type StoreSnapshot,
  TOKENS_A_GRANT,
} from '../semaphore-store.js';
import { type Held, Holders } from './holders.js';
import type { Host, Owner } from './host.js';
import { type InLine, WaitingLine } from './waiting-line.js';

/** How long the limit of a key is known after its last permit. */
const IDLE_MS = 5_000;

interface Waiter extends InLine {
  weight: number;
  leaseMs: number;
  label: string | undefined;
  owner: Owner;
  since: number;
}

interface Holder extends Held {
  label: string | undefined;
  owner: Owner;
  fencingToken: number;
  acquiredAt: number;
}

/** Holders, waiters and limit of one key. Everything but {@link settle} expects that it was settled at `now`. */
export class KeyState {
  private readonly holders = new Holders<Holder>();
  private readonly line = new WaitingLine<Waiter>();
  private limit: number | undefined;
  private isPinned = false;
  /** Passed last by who waits, while another one is pinned. */
  private passedLimit: number | undefined;
  private arrivalCount = 0;
  private stopTimer: StopTimer | undefined;
  private timerAt = Infinity;
  private idleSince = -Infinity;

  constructor(
    private readonly key: string,
    private readonly host: Host,
  ) {}

  get isUsed(): boolean {
    return this.holders.size > 0 || this.line.size > 0;
  }

  /** Nothing is left that would have to be remembered. */
  get isIdle(): boolean {
    return !this.isUsed && !this.isPinned;
  }

  /** It was idle. */
  begin(now: number): void {
    if (now - this.idleSince >= IDLE_MS) this.limit = undefined;
  }

  /** It is idle. */
  rest(now: number): void {
    this.stop();
    this.idleSince = now;
  }

  /** Ends the leases that are over by now, and hands their permits on. */
  settle(now: number): void {
    if (now < this.holders.nextEnd) return;
    for (const holder of this.holders.removeEnded(now)) this.noteLost(holder);
    this.admit(now);
  }

  /** While somebody waits, a timer stands at the earliest lease end. */
  watch(now: number): void {
    const { nextEnd } = this.holders;
    if (this.line.size === 0 || nextEnd >= this.timerAt) return;
    this.stop();
    this.timerAt = nextEnd;
    this.stopTimer = this.host.wake(this.key, Math.ceil(nextEnd - now));
  }

  /** Stops the timer, or forgets the one that has fired. */
  stop(): void {
    this.stopTimer?.();
    this.stopTimer = undefined;
    this.timerAt = Infinity;
  }

  acquire(request: AcquireRequest, owner: Owner, now: number): AcquireReply {
    const holder = this.holders.get(request.id);
    if (holder?.isReleased) return this.refuse('busy', now);
    const known = holder ?? this.line.get(request.id);
    if (known) known.owner = owner;
    if (holder) return { status: 'granted', grant: { ...this.grantOf(holder), again: true } };
    if (known) return { status: 'waiting' };

    if (!this.isPinned) this.changeLimit(request.permits, owner, now);
    const first = this.line.first;
    const isFirst = first === undefined || request.priority > first.priority;
    if (isFirst && this.fits(request.weight)) {
      return { status: 'granted', grant: this.grantOf(this.hold(request, owner, now)) };
    }
    if (!request.wait) return this.refuse('busy', now);
    if (this.line.size >= request.maxWaiting) return this.refuse('queue-full', now);
    const { id, permits, priority, weight, leaseMs, label } = request;
    this.passedLimit = permits;
    const place = { priority, arrival: this.arrivalCount++, position: 0 };
    this.line.add({ id, ...place, weight, leaseMs, label, owner, since: now });
    return { status: 'waiting' };
  }

  cancel(id: string, owner: Owner, now: number): void {
    const known = this.line.get(id) ?? this.holders.get(id);
    if (known?.owner !== owner) return;
    const holder = this.line.remove(id) === undefined ? this.holders.heldBy(id) : undefined;
    if (holder) this.lose(holder);
    this.admit(now);
  }

  release(id: string, holdAtLeastMs: number, now: number, lastToken: number): ReleaseOutcome {
    const holder = this.holders.heldBy(id);
    if (holder === undefined) return 'expired';
    this.host.noteToken(Math.min(lastToken, holder.fencingToken + TOKENS_A_GRANT));
    const keptUntil = holder.acquiredAt + holdAtLeastMs;
    if (keptUntil > now) {
      holder.isReleased = true;
      this.holders.endAt(holder, keptUntil);
    } else {
      this.holders.remove(holder);
      this.admit(now);
    }
    return 'released';
  }

  renew(id: string, leaseMs: number, now: number): Lease | null {
    const holder = this.holders.heldBy(id);
    if (holder === undefined) return null;
    this.holders.endAt(holder, now + leaseMs);
    return { expiresAt: this.host.toEpoch(holder.deadline), deadline: holder.deadline };
  }

  setPermits(permits: number | null, caller: Owner, now: number): void {
    const wasPinned = this.isPinned;
    this.isPinned = permits !== null;
    if (!wasPinned) this.passedLimit = this.limit;
    const limit = permits ?? (wasPinned && this.line.size > 0 ? this.passedLimit : undefined);
    if (limit !== undefined) this.changeLimit(limit, caller, now);
  }

  forceRelease(id: string, onlyWaiting: boolean, now: number): boolean {
    const holder = onlyWaiting ? undefined : this.holders.get(id);
    const waiter = holder === undefined ? this.line.remove(id) : undefined;
    const dropped = holder ?? waiter;
    if (dropped === undefined) return false;
    if (!holder?.isReleased) dropped.owner.tell((client) => client.revoked(this.key, id));
    if (holder) this.lose(holder);
    this.admit(now);
    return true;
  }

  /** Who holds the permit of a flight: the last one to have got it. */
  get leader(): { id: string; fencingToken: number } | undefined {
    return this.holders.last;
  }

  get waiting(): number {
    return this.line.size;
  }

  /**
   * Takes out of the line who was among the first that stood there.
   * @param arrivals how many those are, from the beginning
   * @returns their owners, each once
   */
  dismissWaiters(arrivals: number): Set<Owner> {
    const early = this.line.inOrder().filter(({ arrival }) => arrival < arrivals);
    for (const { id } of early) this.line.remove(id);
    return new Set(early.map(({ owner }) => owner));
  }

  /** How many have stood in the line so far. */
  get arrivals(): number {
    return this.arrivalCount;
  }

  /** Of those who hold and wait, each once. */
  get owners(): Set<Owner> {
    return new Set([...this.holders.all(), ...this.line.inOrder()].map(({ owner }) => owner));
  }

  /** Takes all waiters of an owner out of the line. */
  dismiss(owner: Owner, now: number): void {
    for (const waiter of this.line.inOrder()) {
      if (waiter.owner === owner) this.line.remove(waiter.id);
    }
    this.admit(now);
  }

  snapshot(now: number): StoreSnapshot {
    const permits = this.limit ?? 0;
    return {
      key: this.key,
      permits,
      held: this.holders.held,
      available: Math.max(0, permits - this.holders.held),
      holders: this.holders.all().map((holder) => ({
        id: holder.id,
        weight: holder.weight,
        ...labelled(holder.label),
        client: holder.owner.clientId,
        fencingToken: holder.fencingToken,
        acquiredAt: this.host.toEpoch(holder.acquiredAt),
        expiresAt: this.host.toEpoch(holder.deadline),
      })),
      waiters: this.line.inOrder().map((waiter) => ({
        id: waiter.id,
        weight: waiter.weight,
        priority: waiter.priority,
        ...labelled(waiter.label),
        client: waiter.owner.clientId,
        enqueuedAt: this.host.toEpoch(waiter.since),
      })),
      now: this.host.toEpoch(now),
      pinned: this.isPinned,
    };
  }

  private changeLimit(permits: number, caller: Owner, now: number): void {
    const previous = this.limit;
    if (previous === permits) return;
    this.limit = permits;
    if (previous === undefined && !this.isPinned) return;
    const change = { key: this.key, permits, previous, pinned: this.isPinned };
    caller.tell((client) => client.permitsChanged(change));
    this.admit(now);
  }

  /** Serves the line from its head, as far as the permits go. Whoever does not fit blocks those behind. */
  private admit(now: number): void {
    for (let first = this.line.first; first && this.fits(first.weight); first = this.line.first) {
      const { id, owner } = first;
      this.line.remove(id);
      const grant = this.grantOf(this.hold(first, owner, now));
      owner.tell((client) => client.granted(this.key, id, grant));
    }
  }

  private fits(weight: number): boolean {
    return this.holders.held + this.clamp(weight) <= (this.limit ?? 0);
  }

  private clamp(weight: number): number {
    return Math.min(weight, this.limit ?? 0);
  }

  private hold(taker: AcquireRequest | Waiter, owner: Owner, now: number): Holder {
    const holder: Holder = {
      id: taker.id,
      weight: this.clamp(taker.weight),
      label: taker.label,
      owner,
      fencingToken: this.host.nextToken(now),
      acquiredAt: now,
      deadline: now + taker.leaseMs,
      isReleased: false,
      position: 0,
    };
    this.holders.add(holder);
    return holder;
  }

  /** Ends a permit that was not released. */
  private lose(holder: Holder): void {
    this.holders.remove(holder);
    this.noteLost(holder);
  }

  /** Whoever held it may have used any of its tokens. */
  private noteLost({ isReleased, fencingToken }: Holder): void {
    if (!isReleased) this.host.noteToken(fencingToken + TOKENS_A_GRANT);
  }

  private refuse(status: 'busy' | 'queue-full', now: number): AcquireReply {
    return { status, retryAfterMs: this.holders.earliestEnd - now };
  }

  private grantOf(holder: Holder): Grant {
    return {
      fencingToken: holder.fencingToken,
      acquiredAt: this.host.toEpoch(holder.acquiredAt),
      expiresAt: this.host.toEpoch(holder.deadline),
      deadline: holder.deadline,
      provisional: false,
      permits: this.limit ?? 0,
    };
  }
}

function labelled(label: string | undefined): { label?: string } {
  return label === undefined ? {} : { label };
}
