import { hash, randomBytes } from 'node:crypto';
import { EventStream } from '../http/event-stream.js';
import { HttpProblem } from '../http/http-problem.js';
import { SemaphoreClosedError } from '../semaphore.errors.js';
import type { SemaphoreService } from '../semaphore.service.js';
import { internalsOf } from '../service-internals.js';
import type { StopTimer } from '../store/clock.js';
import type { Access } from './api-keys.js';
import { Session, type SessionParts } from './session.js';
import { fromNote, noteKey, type SessionPermit } from './session-notes.js';

/** The sessions whose streams are, or may come back, at this server. */
export class Sessions {
  private readonly byId = new Map<string, Session>();
  private readonly owners = new Map<string, Session>();
  private readonly graceTimers = new Map<Session, StopTimer>();
  private readonly parts: SessionParts;
  private readonly stopListening: () => void;
  private isClosed = false;

  constructor(
    private readonly semaphores: SemaphoreService,
    private readonly graceMs: number,
    /** How many sessions of one caller may wait for their client to come back. */
    private readonly maxAway: number,
  ) {
    const { permitsById: permits, core } = internalsOf(semaphores);
    this.parts = { permits, clock: core.clock, graceMs, owners: this.owners };
    this.stopListening = permits.onForced((key, id) => this.owners.get(id)?.forced(key, id));
  }

  /** @throws {HttpProblem} 404 there is none at this server, or it is somebody else's */
  find(id: string, { name }: Access): Session {
    const session = this.byId.get(id);
    if (session?.name === name) return session;
    throw new HttpProblem(
      404,
      'SESSION_UNKNOWN',
      'There is no such session at this server: open one with GET /v1/sessions, here',
    );
  }

  /** Opens a session, or goes on with the one that the client had. */
  async open(
    access: Access,
    wantedId: string | undefined,
    stream: () => EventStream,
  ): Promise<void> {
    if (this.isClosed) throw new SemaphoreClosedError();
    const session = (await this.resume(access, wantedId)) ?? this.create(access);
    this.stopGrace(session);
    const opened = stream();
    session.open(opened);
    opened.onClosed(() => this.lose(session, opened));
  }

  /** As {@link Session.leaseOf}; undefined when no session at this server holds it. */
  leaseOf(key: string, id: string): number | 'as it is' | undefined {
    return this.owners.get(id)?.leaseOf(key, id);
  }

  /** The permit is not to be kept any longer, whichever session it belongs to. */
  drop(key: string, id: string): void {
    const session = this.owners.get(id);
    if (session?.holds(key, id) === true) session.drop(id);
  }

  /** Ends all: what they hold is given back, or ends with the grace time. */
  async close(): Promise<void> {
    this.isClosed = true;
    this.stopListening();
    for (const stop of this.graceTimers.values()) stop();
    const sessions = [...this.byId.values()];
    this.byId.clear();
    await Promise.all(sessions.map((session) => session.end()));
  }

  private create({ name }: Access, id = newId(name)): Session {
    const session = new Session(id, name, this.parts);
    this.byId.set(id, session);
    return session;
  }

  private async resume(access: Access, id: string | undefined): Promise<Session | undefined> {
    if (id === undefined || this.graceMs === 0 || !isOf(access.name, id)) return undefined;
    const noted = await this.notedOf(id);
    // Nobody would end what is opened after close().
    if (this.isClosed) throw new SemaphoreClosedError();
    const known = this.byId.get(id);
    if (known === undefined && noted.length === 0) return undefined;
    const session = known ?? this.create(access, id);
    // It may have been at another server in the meantime, and have got more there.
    for (const permit of noted) {
      if (!session.holds(permit.key, permit.id)) session.adopt(permit);
    }
    return session;
  }

  /** What the session holds, as far as the store knows. @throws {StoreUnavailableError} nobody here knows either */
  private async notedOf(id: string): Promise<SessionPermit[]> {
    try {
      const { holders } = await this.semaphores.inspect(noteKey(id));
      return holders.map(({ label = '' }) => fromNote(label));
    } catch (error) {
      if (this.byId.has(id)) return [];
      throw error;
    }
  }

  private lose(session: Session, stream: EventStream): void {
    if (!session.isOpenOn(stream)) return;
    if (this.graceMs === 0) {
      void this.end(session);
      return;
    }
    session.pause();
    this.makeRoomFor(session);
    const stopGrace = this.parts.clock.schedule(() => void this.end(session), this.graceMs);
    this.graceTimers.set(session, stopGrace);
  }

  /** Whose client is away longest does not come back. */
  private makeRoomFor({ name }: Session): void {
    if (this.graceTimers.size < this.maxAway) return;
    const away = [...this.graceTimers.keys()].filter((session) => session.name === name);
    const [longest] = away;
    if (longest !== undefined && away.length >= this.maxAway) void this.end(longest);
  }

  private async end(session: Session): Promise<void> {
    this.stopGrace(session);
    this.byId.delete(session.id);
    await session.end();
  }

  private stopGrace(session: Session): void {
    this.graceTimers.get(session)?.();
    this.graceTimers.delete(session);
  }
}

/** An id says whose it is, so that nobody else can resume the session, at any server. */
function newId(name: string): string {
  const secret = randomBytes(18).toString('base64url');
  return `${secret}.${tagOf(name, secret)}`;
}

function isOf(name: string, id: string): boolean {
  const [secret = '', tag] = id.split('.');
  return tag === tagOf(name, secret);
}

function tagOf(name: string, secret: string): string {
  return hash('sha256', JSON.stringify([name, secret]), 'base64url').slice(0, 11);
}
