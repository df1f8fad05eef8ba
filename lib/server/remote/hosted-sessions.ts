import { HttpProblem } from '../../http/http-problem.js';
import type { StopTimer } from '../../store/clock.js';
import { NO_SESSION_STATUS } from '../../store/remote/wire.js';
import type { SemaphoreStore } from '../../store/semaphore-store.js';
import type { Access } from '../api-keys.js';
import { retriableProblem } from '../problems.js';
import { Quota } from '../quota.js';
import { HostedSession, type SessionWish, type Tell } from './hosted-session.js';

export interface RemoteLimits {
  /** Sessions that one caller may have. */
  maxSessions: number;
  /** How many permits one session may wait for and hold. */
  maxPermits: number;
}

/** What the client hears. */
export interface SessionStream {
  send: Tell;
  close(): void;
}

interface Kept {
  session: HostedSession;
  /** The one that is open now. */
  stream: SessionStream | undefined;
  stopGrace: StopTimer;
  leaveQuota(): void;
}

/** The sessions of RemoteSemaphoreStore at this server, by their secrets. */
export class HostedSessions {
  private readonly bySecret = new Map<string, Kept>();
  private readonly quota: Quota;
  private readonly closing = new Set<Promise<void>>();
  private isClosed = false;

  constructor(
    private readonly store: SemaphoreStore,
    private readonly limits: RemoteLimits,
  ) {
    this.quota = new Quota(limits.maxSessions, 'TOO_MANY_SESSIONS', 'sessions');
  }

  /**
   * Opens a session with its stream, or takes it up again with a new one.
   * @throws {HttpProblem}
   */
  attach<S extends SessionStream>(
    wish: SessionWish,
    access: Access,
    openStream: () => S,
  ): { stream: S; onBroken: () => void } {
    if (this.isClosed) throw retriableProblem(503, 'SEMAPHORE_CLOSED', 'The server shuts down');
    const kept = this.bySecret.get(wish.secret) ?? this.open(wish, access);
    requireOwner(kept.session, access);
    const stream = openStream();
    finish(kept);
    kept.stream = stream;
    kept.session.attach((event, data) => stream.send(event, data));
    return { stream, onBroken: () => this.detach(wish.secret, kept, stream) };
  }

  /** @throws {HttpProblem} 409 when the session has no stream at this server: nothing was done */
  get(secret: string, access: Access): HostedSession {
    const session = this.bySecret.get(secret)?.session;
    if (session === undefined || !session.isAttached) {
      throw new HttpProblem(
        NO_SESSION_STATUS,
        'NO_SESSION',
        'The session has no open stream at this server: open one with GET first',
      );
    }
    requireOwner(session, access);
    session.hear();
    return session;
  }

  /** Whether another permit fits. */
  hasRoom(session: HostedSession): boolean {
    return session.size < this.limits.maxPermits;
  }

  /** The client has finished: what it still holds ends with its leases. */
  async end(secret: string, access: Access): Promise<void> {
    const kept = this.bySecret.get(secret);
    if (kept === undefined) return;
    requireOwner(kept.session, access);
    this.forget(secret, kept);
    finish(kept);
    await kept.session.store.close();
  }

  /** Ends all streams. Clients go on at another server; what they hold there or here ends with its leases. */
  async close(): Promise<void> {
    this.isClosed = true;
    const all = [...this.bySecret.values()];
    this.bySecret.clear();
    await Promise.allSettled([
      ...this.closing,
      ...all.map((kept) => {
        finish(kept);
        return kept.session.store.close();
      }),
    ]);
  }

  private open(wish: SessionWish, access: Access): Kept {
    const leaveQuota = this.quota.enter(access.name);
    const kept: Kept = {
      session: new HostedSession(this.store, access.name, wish),
      stream: undefined,
      stopGrace: () => undefined,
      leaveQuota,
    };
    this.bySecret.set(wish.secret, kept);
    return kept;
  }

  private detach(secret: string, kept: Kept, stream: SessionStream): void {
    if (kept.stream !== stream) return;
    kept.stream = undefined;
    kept.session.detach();
    kept.stopGrace = this.store.clock.schedule(() => {
      this.forget(secret, kept);
      const closing = kept.session.abandon().catch(() => undefined);
      this.closing.add(closing);
      void closing.then(() => this.closing.delete(closing));
    }, kept.session.graceMs);
  }

  private forget(secret: string, kept: Kept): void {
    this.bySecret.delete(secret);
    kept.leaveQuota();
  }
}

/** Its stream, if it has one, is not its stream any more. */
function finish(kept: Kept): void {
  const { stream } = kept;
  kept.stopGrace();
  kept.stream = undefined;
  stream?.close();
}

function requireOwner(session: HostedSession, access: Access): void {
  if (session.owner === access.name) return;
  throw new HttpProblem(403, 'FORBIDDEN', 'The session was opened with another API key');
}
