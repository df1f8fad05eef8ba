import type { PermitsById } from '../core/permits-by-id.js';
import { holdAtLeastOf } from './permit-ids.js';
import type { EventStream } from '../http/event-stream.js';
import { noteId, noteKey, noteText, type SessionPermit } from './session-notes.js';

/** The store's leases of a session's permits: what a killed server costs at most. */
const LEASE_MS = 5000;
/** A renewal every third of it must be possible under load. */
const LEAST_LEASE_MS = 1000;

/** What sessions share. */
export interface SessionParts {
  permits: PermitsById;
  graceMs: number;
  /** Which session holds a permit, by the permit's id. */
  owners: Map<string, Session>;
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
  private readonly permits = new Map<string, SessionPermit>();
  private readonly endListeners = new Set<() => void>();
  private renewal: NodeJS.Timeout | undefined;
  private renewalMs = Infinity;
  private stream: EventStream | undefined;
  /** When the grace time of a client that is away is over. */
  private awayUntil = 0;
  isOver = false;

  constructor(
    readonly id: string,
    readonly name: string,
    private readonly parts: SessionParts,
  ) {}

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
   * @returns false when the session has ended meanwhile: the permit is not the session's
   * @throws {StoreUnavailableError} so it is then
   */
  async add(permit: SessionPermit): Promise<boolean> {
    if (this.isOver) return false;
    const isNew = !this.permits.has(permit.id);
    this.adopt(permit);
    if (isNew && this.parts.graceMs > 0) {
      try {
        await this.begin(permit);
      } catch (error) {
        this.drop(permit.id);
        throw error;
      }
    }
    return !this.isOver;
  }

  /** Goes on with a permit that is noted already. */
  adopt(permit: SessionPermit): void {
    const { owners } = this.parts;
    const before = owners.get(permit.id);
    this.permits.set(permit.id, permit);
    owners.set(permit.id, this);
    // The same requestId may come from two sessions: the later one alone keeps the permit.
    if (before !== this) before?.drop(permit.id);
    this.planRenewal(permit.leaseMs);
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

  /** The permit ended, or was released by force, while its client believes that it is held. */
  private lose(key: string, id: string): void {
    if (!this.permits.has(id)) return;
    this.drop(id);
    this.stream?.send('lost', { key, id });
  }

  /** The stream is gone: from now on nothing is renewed. */
  pause(): void {
    const { graceMs } = this.parts;
    this.stopRenewals();
    this.stream = undefined;
    this.awayUntil = performance.now() + graceMs;
    for (const { key, id } of this.permits.values()) this.renew(key, id, graceMs);
  }

  /** The client is gone for good. */
  async end(): Promise<void> {
    if (this.isOver) return;
    this.isOver = true;
    this.stopRenewals();
    this.stream?.close();
    for (const listener of this.endListeners) listener();
    const permits = [...this.permits.values()];
    this.permits.clear();
    for (const { id } of permits) this.disown(id);
    if (this.parts.graceMs === 0) await Promise.all(permits.map((permit) => this.giveBack(permit)));
  }

  /** What is left of the grace time. */
  private get awayMs(): number {
    return Math.max(1, Math.ceil(this.awayUntil - performance.now()));
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
  private async begin(permit: SessionPermit): Promise<void> {
    const { permits } = this.parts;
    const { key, id } = permit;
    // Before it is noted: whoever finds the note makes the lease longer.
    if (this.stream === undefined) await permits.renew(key, id, this.awayMs);
    const leaseMs = this.stream === undefined ? this.awayMs : permit.leaseMs;
    await permits.note(noteKey(this.id), noteId(id), noteText(permit), leaseMs);
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
    for (const { key, id, leaseMs } of this.permits.values()) this.renew(key, id, leaseMs);
  }

  private renew(key: string, id: string, leaseMs: number): void {
    const { permits, graceMs } = this.parts;
    permits
      .renew(key, id, leaseMs)
      .then((lease) => {
        if (lease === null) this.lose(key, id);
      })
      .catch(ignore);
    if (graceMs > 0) permits.renew(noteKey(this.id), noteId(id), leaseMs).catch(ignore);
  }
}

/** What failed now succeeds at the next renewal, or the lease ends. */
function ignore(): void {}
