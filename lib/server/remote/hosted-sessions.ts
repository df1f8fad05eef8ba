import { HttpProblem } from '../../http/http-problem.js';
import type { StopTimer } from '../../store/clock.js';
import { NO_SESSION_STATUS } from '../../store/remote/wire.js';
import type { SemaphoreStore } from '../../store/semaphore-store.js';
import type { Access } from '../api-keys.js';
import { retriableProblem } from '../problems.js';
import { Quota } from '../quota.js';
import { HostedSession, type SessionStream, type SessionWish } from './hosted-session.js';

export interface RemoteLimits {
  /** Sessions that one caller may have. */
  maxSessions: number;
  /** How many permits one session may wait for and hold. */
  maxPermits: number;
}

/** The sessions of RemoteSemaphoreStore at this server, by their secrets. */
export class HostedSessions {
  private readonly bySecret = new Map<string, HostedSession>();
  private readonly graceTimers = new Map<HostedSession, StopTimer>();
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
  attach(wish: SessionWish, access: Access, openStream: () => SessionStream): void {
    if (this.isClosed) throw retriableProblem(503, 'SEMAPHORE_CLOSED', 'The server shuts down');
    const session = this.bySecret.get(wish.secret) ?? this.open(wish, access);
    requireOwner(session, access);
    const stream = openStream();
    this.stopGrace(session);
    session.attach(stream);
    stream.onClosed(() => this.detach(session, stream));
  }

  /** @throws {HttpProblem} 409 when the session has no stream at this server: nothing was done */
  get(secret: string, access: Access): HostedSession {
    const session = this.bySecret.get(secret);
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

  /** The client has finished: what it still holds ends with its leases. */
  async end(secret: string, access: Access): Promise<void> {
    const session = this.bySecret.get(secret);
    if (session === undefined) return;
    requireOwner(session, access);
    this.forget(session);
    await session.close();
  }

  /** Ends all streams. Clients go on at another server; what they hold there or here ends with its leases. */
  async close(): Promise<void> {
    this.isClosed = true;
    const sessions = [...this.bySecret.values()];
    for (const session of sessions) this.forget(session);
    await Promise.allSettled([...this.closing, ...sessions.map((session) => session.close())]);
  }

  private open(wish: SessionWish, access: Access): HostedSession {
    const leaveQuota = this.quota.enter(access.name);
    const { maxPermits } = this.limits;
    const session = new HostedSession(this.store, access.name, wish, maxPermits, leaveQuota);
    this.bySecret.set(wish.secret, session);
    return session;
  }

  private detach(session: HostedSession, stream: SessionStream): void {
    if (!session.isOpenOn(stream)) return;
    session.detach();
    const stopGrace = this.store.clock.schedule(() => this.abandon(session), session.graceMs);
    this.graceTimers.set(session, stopGrace);
  }

  private abandon(session: HostedSession): void {
    this.forget(session);
    const closing = session.abandon().catch(() => undefined);
    this.closing.add(closing);
    void closing.then(() => this.closing.delete(closing));
  }

  private forget(session: HostedSession): void {
    this.stopGrace(session);
    this.bySecret.delete(session.secret);
    session.leaveQuota();
  }

  private stopGrace(session: HostedSession): void {
    this.graceTimers.get(session)?.();
    this.graceTimers.delete(session);
  }
}

function requireOwner(session: HostedSession, access: Access): void {
  if (session.owner === access.name) return;
  throw new HttpProblem(403, 'FORBIDDEN', 'The session was opened with another API key');
}
