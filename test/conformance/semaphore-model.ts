import type { AcquireRequest } from '../../lib/store/semaphore-store.js';

interface ModelHolder {
  id: string;
  weight: number;
  acquiredAt: number;
  endsAt: number;
  isKept: boolean;
}

interface ModelWaiter extends AcquireRequest {
  arrival: number;
}

/** What a semaphore is, in the plainest words: lists that are sorted and counted anew for every question. */
export class SemaphoreModel {
  limit: number | undefined;
  isPinned = false;
  /** What would hold, if no other limit were pinned. */
  private passed: number | undefined;
  now = 0;
  holders: ModelHolder[] = [];
  /** In the order in which they were granted. */
  readonly grants: string[] = [];
  readonly handedOver = new Set<string>();
  /** Those of them that their processes were told of. */
  readonly told = new Set<string>();
  private line: ModelWaiter[] = [];
  private arrivals = 0;

  get held(): number {
    return this.holders.reduce((sum, { weight }) => sum + weight, 0);
  }

  get waiters(): ModelWaiter[] {
    return this.line.toSorted((a, b) => b.priority - a.priority || a.arrival - b.arrival);
  }

  get isUsed(): boolean {
    return this.holders.length > 0 || this.line.length > 0;
  }

  acquire(request: AcquireRequest): string {
    if (this.holders.some(({ id }) => id === request.id)) return 'granted';
    if (this.line.some(({ id }) => id === request.id)) return 'waiting';
    if (!this.isPinned) this.limit = request.permits;
    this.admit();
    const isFirst = this.line.every(({ priority }) => priority < request.priority);
    if (isFirst && this.fits(request.weight)) {
      this.grant(request);
      return 'granted';
    }
    if (!request.wait) return 'busy';
    if (this.line.length >= request.maxWaiting) return 'queue-full';
    this.passed = request.permits;
    this.line.push({ ...request, arrival: this.arrivals++ });
    return 'waiting';
  }

  release(id: string, holdAtLeastMs: number): string {
    const holder = this.holderOf(id);
    if (holder === undefined) return 'expired';
    if (holder.acquiredAt + holdAtLeastMs > this.now) {
      holder.isKept = true;
      holder.endsAt = holder.acquiredAt + holdAtLeastMs;
    } else {
      this.drop(id);
    }
    return 'released';
  }

  cancel(id: string): void {
    if (this.holderOf(id) !== undefined || !this.holders.some((holder) => holder.id === id)) {
      this.drop(id);
    }
  }

  renew(id: string, leaseMs: number): boolean {
    const holder = this.holderOf(id);
    if (holder !== undefined) holder.endsAt = this.now + leaseMs;
    return holder !== undefined;
  }

  force(id: string): boolean {
    const isThere = [...this.holders, ...this.line].some((one) => one.id === id);
    this.drop(id);
    return isThere;
  }

  setPermits(permits: number | null): void {
    if (!this.isPinned) this.passed = this.limit;
    else if (permits === null && this.line.length > 0) this.limit = this.passed;
    this.isPinned = permits !== null;
    this.limit = permits ?? this.limit;
    this.admit();
  }

  advance(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const next = Math.min(...this.holders.map(({ endsAt }) => endsAt));
      if (next > end) break;
      this.now = next;
      this.holders = this.holders.filter(({ endsAt }) => endsAt > next);
      this.admit();
    }
    this.now = end;
  }

  /** Whether the id holds or waits, and may still be asked about. */
  isLive(id: string): boolean {
    return this.holderOf(id) !== undefined || this.line.some((waiter) => waiter.id === id);
  }

  /** Whether its process knows that it neither waits nor was given up. */
  isKnown(id: string): boolean {
    if (this.line.some((waiter) => waiter.id === id)) return false;
    return !this.handedOver.has(id) || this.told.has(id);
  }

  /** Holds by a grant that its process has to be told of. */
  isToBeTold(id: string): boolean {
    return this.holderOf(id) !== undefined && this.handedOver.has(id);
  }

  private holderOf(id: string): ModelHolder | undefined {
    return this.holders.find((holder) => holder.id === id && !holder.isKept);
  }

  private drop(id: string): void {
    this.holders = this.holders.filter((holder) => holder.id !== id);
    this.line = this.line.filter((waiter) => waiter.id !== id);
    this.admit();
  }

  private fits(weight: number): boolean {
    const limit = this.limit ?? 0;
    return this.held + Math.min(weight, limit) <= limit;
  }

  private admit(): void {
    for (const waiter of this.waiters) {
      if (!this.fits(waiter.weight)) return;
      this.line = this.line.filter((other) => other !== waiter);
      this.handedOver.add(waiter.id);
      this.grant(waiter);
    }
  }

  private grant({ id, weight, leaseMs }: AcquireRequest): void {
    this.grants.push(id);
    this.holders.push({
      id,
      weight: Math.min(weight, this.limit ?? 0),
      acquiredAt: this.now,
      endsAt: this.now + leaseMs,
      isKept: false,
    });
  }
}
