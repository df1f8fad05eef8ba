import { safely } from '../core/lease-times.js';
import type { PermitsById } from '../core/permits-by-id.js';
import type { EventStream } from '../http/event-stream.js';
import type { Clock } from '../store/clock.js';
import { EarliestTimer, NOTICED_WITHIN_MS } from '../store/earliest-timer.js';
import type { Lease } from '../store/semaphore-store.js';
import { holdAtLeastOf } from './permit-ids.js';
import { noteId, noteKey, noteText, type SessionPermit } from './session-notes.js';

/** The store's leases of a session's permits: what a killed server costs at most. */
const LEASE_MS = 5000;
/** A renewal every third of it must be possible under load. */
const LEAST_LEASE_MS = 1000;

/** What sessions share. */
export interface SessionParts {
  permits: PermitsById;
  clock: Clock;
  graceMs: number;
  /** Which session holds a permit, by the permit's id. */
  owners: Map<string, Session>;
}

interface KeptPermit extends SessionPermit {
  /** Until then it is certainly held, by the clock here. */
  deadline: number;
}

/**
 * The permits that one client holds while its stream is open. This server renews them; when the client is gone it gives
 * them back, or leaves them until the grace time is over.
 *
 * With a grace time each permit is also noted in the store, under the session's id, so that any server can go on with
 * the session. A server that lost the stream releases nothing then: it shortens the leases to the grace time, and whoever
 * resumes the session makes them longer again.
 */
export class Session {
  private readonly permits = new Map<string, KeptPermit>();
  private readonly endListeners = new Set<() => void>();
  private renewal: NodeJS.Timeout | undefined;
  private renewalMs = Infinity;
  private readonly lapse: EarliestTimer;
  private stream: EventStream | undefined;
  /** When the grace time of a client that is away is over, by the clock here. */
  private awayUntil = 0;
  isOver = false;

  constructor(
    readonly id: string,
    readonly name: string,
    private readonly parts: SessionParts,
  ) {
    this.lapse = new EarliestTimer(parts.clock, () => this.loseLapsed(), NOTICED_WITHIN_MS);
  }

  /** The lease that a permit of a session has in the store. */
  leaseFor(leaseMs: number): number {
    const most = Math.max(LEASE_MS, 2 * this.parts.graceMs);
    return Math.min(most, Math.max(LEAST_LEASE_MS, leaseMs));
  }

  /** The client listens; a stream that it had before is closed. */
  open(stream: EventStream): void {
    const before = this.stream;
    this.stream = stream;
    // Not before: the end of the session's own stream would pause the session.
    before?.close();
    stream.send('session', { id: this.id });
    this.renewAll();
    for (const { leaseMs } of this.permits.values()) this.planRenewal(leaseMs);
  }

  isOpenOn(stream: EventStream): boolean {
    return this.stream === stream;
  }

  /** Calls `listener` when the session ends. @returns what stops it */
  onEnd(listener: () => void): () => void {
    this.endListeners.add(listener);
    return () => void this.endListeners.delete(listener);
  }

  /**
   * @param deadline until then it is certainly held, by the clock here
   * @returns false when the session has ended meanwhile: the permit is not the session's
   * @throws {StoreUnavailableError} so it is then
   */
  async add(permit: SessionPermit, deadline: number): Promise<boolean> {
    if (this.isOver) return false;
    const isNew = !this.permits.has(permit.id);
    const kept = this.adopt(permit, deadline);
    if (isNew && this.parts.graceMs > 0) {
      try {
        await this.note(kept);
      } catch (error) {
        this.drop(permit.id);
        throw error;
      }
    }
    return !this.isOver;
  }

  /** Goes on with a permit that is noted already. @param deadline Infinity: not known before it is renewed */
  adopt(permit: SessionPermit, deadline = Infinity): KeptPermit {
    const { owners } = this.parts;
    const before = owners.get(permit.id);
    // An answer for several requests may be older than what a renewal has told.
    const known = this.permits.get(permit.id)?.deadline ?? 0;
    const kept = { ...permit, deadline: Math.max(known, this.safely(deadline)) };
    this.permits.set(permit.id, kept);
    this.lapse.expect(kept.deadline);
    owners.set(permit.id, this);
    // The same requestId may come from two sessions: the later one alone keeps the permit.
    if (before !== this) before?.drop(permit.id);
    this.planRenewal(permit.leaseMs);
    return kept;
  }

  holds(key: string, id: string): boolean {
    return this.permits.get(id)?.key === key;
  }

  /**
   * The lease that a renewal gives the permit: 'as it is' while the client is away, as another server may have gone on with
   * the session; undefined when it is not the session's.
   */
  leaseOf(key: string, id: string): number | 'as it is' | undefined {
    if (!this.holds(key, id)) return undefined;
    return this.stream === undefined ? 'as it is' : this.permits.get(id)?.leaseMs;
  }

  /** The permit is not to be kept any longer. */
  drop(id: string): void {
    this.disown(id);
    if (!this.permits.delete(id) || this.parts.graceMs === 0) return;
    this.parts.permits.release(noteKey(this.id), noteId(id)).catch(ignore);
  }

  /** The permit was released by force. A client that is away is told when it comes back and the permit is to be renewed. */
  forced(key: string, id: string): void {
    if (this.stream !== undefined) this.lose(key, id);
  }

  /** The permit ended, or was released by force, while its client believes that it is held. */
  private lose(key: string, id: string): void {
    if (!this.permits.has(id)) return;
    this.drop(id);
    this.stream?.send('lost', { key, id });
  }

  /** The stream is gone: from now on nothing is renewed. */
  pause(): void {
    const { clock, graceMs } = this.parts;
    this.stopRenewals();
    this.stream = undefined;
    this.awayUntil = clock.now() + graceMs;
    for (const permit of this.permits.values()) this.renew(permit, graceMs);
  }

  /** The client is gone for good. */
  async end(): Promise<void> {
    if (this.isOver) return;
    this.isOver = true;
    this.stopRenewals();
    this.lapse.stop();
    this.stream?.close();
    for (const listener of this.endListeners) listener();
    const permits = [...this.permits.values()];
    this.permits.clear();
    for (const { id } of permits) this.disown(id);
    if (this.parts.graceMs === 0) await Promise.all(permits.map((permit) => this.giveBack(permit)));
  }

  /** What is left of the grace time. */
  private get awayMs(): number {
    return Math.max(1, Math.ceil(this.awayUntil - this.parts.clock.now()));
  }

  private disown(id: string): void {
    const { owners } = this.parts;
    if (owners.get(id) === this) owners.delete(id);
  }

  private async giveBack({ key, id }: SessionPermit): Promise<void> {
    const { permits } = this.parts;
    await permits.release(key, id, holdAtLeastOf(id)).catch(() => permits.takeBack(key, id));
  }

  /** Notes the permit, which ends with the grace time, as the others do, when the client is away. */
  private async note(permit: KeptPermit): Promise<void> {
    const { permits } = this.parts;
    // Before it is noted: whoever finds the note makes the lease longer.
    if (this.stream === undefined) await this.prolong(permit, this.awayMs);
    const leaseMs = this.stream === undefined ? this.awayMs : permit.leaseMs;
    await permits.note(noteKey(this.id), noteId(permit.id), noteText(permit), leaseMs);
  }

  private planRenewal(leaseMs: number): void {
    // Another server that loses the client's old stream late makes the leases as short as the grace time.
    const everyMs = Math.min(leaseMs, this.parts.graceMs || Infinity) / 3;
    if (everyMs >= this.renewalMs || this.stream === undefined) return;
    clearInterval(this.renewal);
    this.renewalMs = everyMs;
    this.renewal = setInterval(() => this.renewAll(), everyMs);
    this.renewal.unref();
  }

  private stopRenewals(): void {
    clearInterval(this.renewal);
    this.renewalMs = Infinity;
  }

  private renewAll(): void {
    for (const permit of this.permits.values()) this.renew(permit, permit.leaseMs);
  }

  private renew(permit: KeptPermit, leaseMs: number): void {
    const { permits, graceMs } = this.parts;
    const { key, id } = permit;
    this.prolong(permit, leaseMs)
      .then((lease) => {
        if (lease === null) this.lose(key, id);
      })
      .catch(ignore);
    if (graceMs > 0) permits.leave(noteKey(this.id), noteId(id), leaseMs).catch(ignore);
  }

  private async prolong(permit: KeptPermit, leaseMs: number): Promise<Lease | null> {
    const { permits, clock } = this.parts;
    const { key, id } = permit;
    // A lease may become shorter: from the moment of sending on, only the shorter of the two is certain.
    permit.deadline = Math.min(permit.deadline, this.safely(clock.now() + leaseMs));
    this.lapse.expect(permit.deadline);
    const lease = await (this.stream === undefined
      ? permits.leave(key, id, leaseMs)
      : permits.renew(key, id, leaseMs));
    if (lease !== null) permit.deadline = this.safely(lease.deadline);
    return lease;
  }

  /** Loses what by the clock here is over. While the client is away, another server may have made the leases longer. */
  private loseLapsed(): void {
    if (this.stream === undefined) return;
    const now = this.parts.clock.now();
    for (const { key, id, deadline } of this.permits.values()) {
      if (deadline <= now) this.lose(key, id);
      else this.lapse.expect(deadline);
    }
  }

  private safely(deadline: number): number {
    const { clock } = this.parts;
    return safely(deadline, clock.now(), clock);
  }
}

/** What failed now succeeds at the next renewal, or the lease ends. */
function ignore(): void {}
