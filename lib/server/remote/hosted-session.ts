import { isNothingDone } from '../../semaphore.errors.js';
import type { Clock } from '../../store/clock.js';
import {
  clientIdOf,
  leaseToWire,
  MAX_SHORT_RESULT,
  type StoreEvents,
} from '../../store/remote/wire.js';
import type {
  AcquireReply,
  AcquireRequest,
  Grant,
  Lease,
  PermitsChange,
  ReleaseOutcome,
  SemaphoreStore,
  StoreClient,
  StoreSession,
} from '../../store/semaphore-store.js';
import { RemoteEntries, type RemoteEntry } from './remote-entries.js';

const TIDY_EVERY_MS = 30_000;

/** What the client hears. */
export interface SessionStream {
  send<E extends keyof StoreEvents>(event: E, data: StoreEvents[E]): void;
  close(): void;
  onClosed(listener: () => void): void;
}

/** What a client chooses of its session. */
export interface SessionWish {
  secret: string;
  name: string;
  graceMs: number;
}

/**
 * A process that uses this server's store from elsewhere: a session of the store, and what it waits for and holds.
 *
 * When its stream breaks, the leases of what it holds are shortened to the grace time, and after the grace time its
 * session of the store is closed. Nothing is ever released here: so a client that goes on at another server, under the
 * same name, makes its leases long again there, and no server can take from it what another one keeps alive.
 */
export class HostedSession implements StoreClient {
  readonly store: StoreSession;
  readonly secret: string;
  readonly graceMs: number;
  private readonly clock: Clock;
  private readonly entries: RemoteEntries;
  /** The one that is open now. */
  private stream: SessionStream | undefined;
  private lastAttempt = 0;
  private heardAt: number;
  private tidiedAt: number;
  /** Why the store cannot be reached now. */
  private outage: Error | undefined;

  /**
   * @param owner the name of the API key that it was opened with
   * @param maxPermits how many it may wait for and hold
   * @param leaveQuota to be called when it is over
   */
  constructor(
    store: SemaphoreStore,
    readonly owner: string,
    { name, secret, graceMs }: SessionWish,
    private readonly maxPermits: number,
    readonly leaveQuota: () => void,
  ) {
    this.secret = secret;
    this.graceMs = graceMs;
    this.clock = store.clock;
    this.entries = new RemoteEntries(store.clock);
    this.heardAt = this.tidiedAt = store.clock.now();
    this.store = store.connect(this, clientIdOf(name, secret));
    this.store.flights?.listen(
      (key, token, payload) => this.published(key, token, payload),
      (key) => this.stream?.send('forgotten', { key }),
    );
  }

  get isAttached(): boolean {
    return this.stream !== undefined;
  }

  /** Whether the permit fits, which is asked for again when it is in already. */
  hasRoom(id: string): boolean {
    return this.entries.size < this.maxPermits || this.entries.has(id);
  }

  isOpenOn(stream: SessionStream): boolean {
    return this.stream === stream;
  }

  /** The client listens; a stream that it had before is closed. */
  attach(stream: SessionStream): void {
    const before = this.stream;
    this.stream = stream;
    // Not before: the end of the session's own stream would detach the session.
    before?.close();
    this.entries.heard();
    if (this.outage !== undefined) this.down(this.outage);
  }

  /**
   * Takes note of a request. @returns false when it comes too late: the client has sent it again, and this copy of it lay in
   * some buffer
   */
  accept(attempt: number): boolean {
    if (attempt <= this.lastAttempt) return false;
    this.lastAttempt = attempt;
    return true;
  }

  /** The client has called. That it opened a stream is no sign of life: it may have given that up long ago. */
  hear(): void {
    this.heardAt = this.clock.now();
    if (this.heardAt - this.tidiedAt < TIDY_EVERY_MS) return;
    this.tidiedAt = this.heardAt;
    this.entries.tidy();
  }

  /**
   * The stream broke. A client that was not heard for long may have gone on at another server, and trusts by now that this
   * one leaves its leases alone: then they end by themselves.
   */
  detach(): void {
    this.stream = undefined;
    if (this.clock.now() - this.heardAt > this.graceMs / 2) return;
    for (const [id, entry] of this.entries.held()) this.shorten(id, entry);
  }

  /** What it still holds ends with its leases. */
  async close(): Promise<void> {
    const { stream } = this;
    this.stream = undefined;
    stream?.close();
    await this.store.close();
  }

  /** The client has not come back. */
  async abandon(): Promise<void> {
    const unheard = this.entries
      .held()
      .filter(([, { isUnheard, leaseMs }]) => isUnheard && leaseMs === Infinity);
    await Promise.allSettled(unheard.map(([id, { key }]) => this.store.cancel(key, id)));
    await this.store.close();
  }

  async acquire(request: AcquireRequest): Promise<AcquireReply> {
    const { key, id, leaseMs } = request;
    const isNew = this.entries.noteWaiting(key, id, leaseMs);
    const reply = await this.store.acquire(request).catch((error: unknown) => {
      // Then the client sends no cancel.
      if (isNew && isNothingDone(error)) this.entries.forget(id);
      throw error;
    });
    if (reply.status === 'granted') {
      const { grant } = reply;
      // What it held before may have been asked for at another server, and is in use.
      if (grant.again === true) this.entries.noteHeld(key, id, grant.deadline, leaseMs);
      else this.noteHeld(key, id, grant, leaseMs);
    } else if (reply.status !== 'waiting') this.entries.forget(id);
    return reply;
  }

  async cancel(key: string, id: string): Promise<void> {
    await this.store.cancel(key, id);
    this.entries.forget(id);
  }

  async release(
    key: string,
    id: string,
    holdAtLeastMs: number,
    lastToken: number,
  ): Promise<ReleaseOutcome> {
    const outcome = await this.store.release(key, id, holdAtLeastMs, lastToken);
    this.entries.forget(id);
    return outcome;
  }

  async renew(key: string, id: string, leaseMs: number): Promise<Lease | null> {
    const lease = await this.store.renew(key, id, leaseMs);
    if (lease === null) this.entries.forget(id);
    else this.noteHeld(key, id, lease, leaseMs);
    return lease;
  }

  /** A provisional grant ends by itself, or the client has claimed it, which may be at another server: so it is let alone. */
  granted(key: string, id: string, grant: Grant): void {
    if (grant.provisional) this.entries.noteHeld(key, id, grant.deadline);
    else this.noteHeld(key, id, grant);
    this.stream?.send('granted', { key, id, grant: leaseToWire(grant) });
  }

  failed(key: string, id: string, error: Error): void {
    this.stream?.send('failed', { key, id, message: error.message });
  }

  revoked(key: string, id: string): void {
    this.entries.forget(id);
    this.stream?.send('revoked', { key, id });
  }

  permitsChanged(change: PermitsChange): void {
    this.stream?.send('permitsChanged', change);
  }

  down(error: Error): void {
    this.outage = error;
    this.stream?.send('down', { message: error.message });
  }

  up(): void {
    this.outage = undefined;
    this.stream?.send('up', {});
  }

  private published(key: string, token: number, payload: string | undefined): void {
    const isShort = payload !== undefined && payload.length <= MAX_SHORT_RESULT;
    this.stream?.send('published', { key, token, ...(isShort ? { payload } : {}) });
  }

  /** Notes a permit that its client can have got from here only: while that is away, the lease is no longer than the grace time. */
  private noteHeld(key: string, id: string, { deadline }: Lease, leaseMs?: number): void {
    const isNews = !this.entries.isHeld(id);
    const entry = this.entries.noteHeld(key, id, deadline, leaseMs);
    if (this.isAttached) return;
    entry.isUnheard = isNews;
    this.shorten(id, entry);
  }

  private shorten(id: string, entry: RemoteEntry): void {
    const { key, deadline } = entry;
    if (deadline === Infinity || deadline - this.clock.now() <= this.graceMs) return;
    this.store.renew(key, id, this.graceMs).then(
      (lease) => {
        if (lease !== null) entry.deadline = lease.deadline;
      },
      // It ends with the lease that it has.
      () => undefined,
    );
  }
}
