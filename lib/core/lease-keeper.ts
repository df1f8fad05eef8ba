import { setImmediate } from 'node:timers';
import { isNothingDone, type LostReason, SemaphoreClosedError } from '../semaphore.errors.js';
import { validateLease } from '../resolve-options.js';
import type { Grant, Lease, ReleaseOutcome } from '../store/semaphore-store.js';
import type { CoreParts } from './core-parts.js';
import { HeldPermit, type PermitKeeper } from './held-permit.js';
import {
  CONFIRM_WITHIN_MS,
  confirmedFor,
  nextRenewal,
  retryRenewal,
  safely,
} from './lease-times.js';
import type { LocalPasses } from './local-passes.js';
import type { Waiter } from './waiter.js';

interface LeaseKeeperParts extends CoreParts {
  passes: LocalPasses;
  /** A permit was given to a waiter without asking the store. */
  onPassed: (waiter: Waiter, permit: HeldPermit) => void;
  /** A permit of the key is held no more. */
  onFreed: (key: string) => void;
}

/** Keeps held permits alive, notices when one is lost, and gives them back. */
export class LeaseKeeper implements PermitKeeper {
  private isStopped = false;
  private readonly unclaimed: HeldPermit[] = [];

  constructor(private readonly parts: LeaseKeeperParts) {}

  now(): number {
    return this.parts.clock.now();
  }

  hold(waiter: Waiter, grant: Grant, now: number): HeldPermit {
    const deadline = this.safely(grant.deadline, now);
    const permit = new HeldPermit(waiter, waiter.id, grant, now, deadline, this);
    this.parts.entries.set(permit.id, permit);
    this.plan(permit, nextRenewal(permit, now));
    if (permit.provisional && this.unclaimed.push(permit) === 1) setImmediate(this.claim);
    return permit;
  }

  /** At the end of the turn in which they were granted: many are given back before, and need no claim. */
  private readonly claim = (): void => {
    for (const permit of this.unclaimed.splice(0)) {
      const holder = this.successorOf(permit);
      if (holder.isHeld && holder.provisional && holder.renewals === 0) this.keepAlive(holder);
    }
  };

  /** The permit is due: to be renewed, or it is over. */
  attend(permit: HeldPermit, now: number): void {
    if (now >= permit.deadline) this.lose(permit, 'expired');
    else if (this.isStopped) this.plan(permit, Infinity);
    else if (now >= permit.renewAt) this.keepAlive(permit);
  }

  /** Renews or claims it, or asks after it, for nobody who would hear of a failure, which has been planned for already. */
  private keepAlive(permit: HeldPermit): void {
    const { options, provisional } = permit;
    const leaseMs = confirmedFor(permit, this.now());
    const isRenewal = !provisional && leaseMs === options.leaseMs && leaseMs !== Infinity;
    this.renew(permit, leaseMs, !isRenewal).catch(() => undefined);
  }

  /** The store was away and may have lost what it knew: its holders shall not learn that at the next renewal only. */
  confirm(): void {
    const confirmAt = this.now() + Math.random() * CONFIRM_WITHIN_MS;
    for (const entry of this.parts.entries.values()) {
      if (entry instanceof HeldPermit) this.plan(entry, Math.min(entry.renewAt, confirmAt));
    }
  }

  /** @param isSilent it makes the lease no longer than it was to be, and is no event */
  async renew(permit: HeldPermit, leaseMs: number, isSilent = false): Promise<void> {
    validateLease(leaseMs, permit.key);
    if (!permit.isHeld) throw permit.lostError();
    if (this.isStopped) throw new SemaphoreClosedError(permit.key);
    const renewal = ++permit.renewals;
    permit.hasOtherLease = leaseMs !== permit.options.leaseMs;
    const now = this.now();
    // A lease may become shorter: from the moment of sending on, only the shorter of the two is certain.
    permit.deadline = Math.min(permit.deadline, this.safely(now + leaseMs, now));
    this.plan(permit, Infinity);
    let lease: Lease | null;
    try {
      lease = await this.parts.session.renew(permit.key, permit.id, leaseMs);
    } catch (error) {
      const holder = this.successorOf(permit);
      if (isLatest(holder, renewal)) this.plan(holder, retryRenewal(holder, this.now()));
      else if (!isNothingDone(error)) this.shorten(holder, now + leaseMs);
      throw error;
    }
    const holder = this.successorOf(permit);
    if (lease === null) this.lose(holder, 'expired');
    else if (isLatest(holder, renewal)) this.renewed(holder, lease, isSilent);
    else this.shorten(holder, lease.deadline);
    if (permit.over !== undefined) throw permit.lostError();
  }

  release(permit: HeldPermit, holdAtLeastMs: number): Promise<ReleaseOutcome> {
    const now = this.now();
    if (!permit.isHeldAt(now)) return Promise.resolve('expired');
    const { key, id, options } = permit;
    const isPassable = options.localPasses > 0 && holdAtLeastMs === 0 && !this.isStopped;
    const next = isPassable ? this.parts.passes.take(permit, now) : undefined;
    if (next !== undefined) {
      this.pass(permit, next, now);
      return Promise.resolve('released');
    }
    this.end(permit, 'released');
    const lastToken = permit.passes > 0 ? permit.fencingToken : undefined;
    const released = this.parts.giveBacks.release(key, id, holdAtLeastMs, lastToken);
    this.parts.reporter.released(permit, released);
    this.parts.onFreed(key);
    return released;
  }

  lose(permit: HeldPermit, reason: LostReason): void {
    if (permit.over !== undefined) return;
    this.end(permit, reason);
    permit.abort();
    // A renewal whose reply was lost may have made the lease longer.
    if (reason === 'expired') this.parts.giveBacks.cancel(permit.key, permit.id);
    this.parts.reporter.lost(permit, reason);
    this.parts.onFreed(permit.key);
  }

  /** Renews nothing from now on: what is held ends with its lease. */
  stop(): void {
    this.isStopped = true;
  }

  /** The store hears nothing of it: for the store the permit is still held. */
  private pass(permit: HeldPermit, waiter: Waiter, now: number): void {
    permit.end('released');
    // Before the next one's acquisition: to who counts by events there are never two of them.
    this.parts.reporter.released(permit, 'released');
    const grant = {
      fencingToken: permit.fencingToken + 1,
      acquiredAt: Math.round(permit.acquiredAt + now - permit.heldSince),
      expiresAt: permit.expiresAt,
      deadline: permit.deadline,
      provisional: permit.provisional,
      permits: permit.permits,
    };
    const next = new HeldPermit(waiter, permit.id, grant, now, permit.deadline, this);
    next.passes = permit.passes + 1;
    next.grantedSince = permit.grantedSince;
    next.renewals = permit.renewals;
    this.parts.entries.set(next.id, next);
    this.plan(next, permit.renewAt);
    this.parts.onPassed(waiter, next);
  }

  /** Who holds a permit now that may have been passed on while it was renewed. */
  private successorOf(permit: HeldPermit): HeldPermit {
    const entry = permit.over === 'released' ? this.parts.entries.get(permit.id) : undefined;
    return entry instanceof HeldPermit ? entry : permit;
  }

  private renewed(permit: HeldPermit, lease: Lease, isSilent: boolean): void {
    const now = this.now();
    permit.provisional = false;
    permit.expiresAt = lease.expiresAt;
    permit.deadline = this.safely(lease.deadline, now);
    this.plan(permit, nextRenewal(permit, now));
    if (!isSilent) this.parts.reporter.renewed(permit, lease.expiresAt);
  }

  /** A renewal that was sent again may be done after later ones, and make their lease shorter. */
  private shorten(permit: HeldPermit, deadline: number): void {
    if (permit.over !== undefined) return;
    const now = this.now();
    permit.deadline = Math.min(permit.deadline, this.safely(deadline, now));
    this.plan(permit, Math.min(permit.renewAt, nextRenewal(permit, now)));
  }

  private safely(deadline: number, now: number): number {
    return safely(deadline, now, this.parts.clock);
  }

  private plan(permit: HeldPermit, renewAt: number): void {
    permit.renewAt = this.isStopped ? Infinity : renewAt;
    this.parts.alarm.expect(permit);
  }

  private end(permit: HeldPermit, how: NonNullable<HeldPermit['over']>): void {
    permit.end(how);
    this.parts.entries.delete(permit.id);
    if (permit.options.localPasses > 0) this.parts.passes.end(permit.key);
  }
}

function isLatest(permit: HeldPermit, renewal: number): boolean {
  return permit.over === undefined && permit.renewals === renewal;
}
