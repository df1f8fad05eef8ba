import {
  InvalidOptionsError,
  SemaphoreClosedError,
  StoreUnavailableError,
} from '../semaphore.errors.js';
import type { Clock } from '../store/clock.js';
import {
  leaseFromWire,
  type OpenEvent,
  snapshotFromWire,
  type StoreEvents,
  toWire,
  type WireAcquireReply,
  type WireLease,
} from '../store/remote/wire.js';
import type {
  AcquireReply,
  AcquireRequest,
  Lease,
  ReleaseOutcome,
  StoreHealth,
  StoreSnapshot,
  StoreClient,
  StoreSession,
} from '../store/semaphore-store.js';
import { checkHealth, NOBODYS_KEY } from '../store/health-check.js';
import { HttpClient, readText } from './http-request.js';
import { RemoteCalls } from './remote.calls.js';
import { RemoteFlights } from './remote.flights.js';
import { RemoteLink } from './remote.link.js';
import { listKeys } from './remote.listing.js';
import type { ResolvedRemoteOptions } from './remote.options.js';
import { RemotePermits, toAcquire } from './remote.permits.js';
import { RemoteRecovery } from './remote.recovery.js';
import { RemoteTrust } from './remote.trust.js';

export interface SessionIdentity {
  clientId: string;
  headers: Record<string, string>;
}

const noCalls = (): string => '{"calls":[]}';
/** After the last moment at which another server may shorten leases, before what is shortened may end. */
const AFTER_MOVE_MS = 100;

/** One process at a server: translates the port's calls into HTTP. */
export class RemoteSession implements StoreSession {
  readonly clientId: string;
  readonly flights: RemoteFlights;
  private readonly link: RemoteLink;
  private readonly calls: RemoteCalls;
  private readonly permits: RemotePermits;
  private readonly recovery: RemoteRecovery;
  private readonly trust: RemoteTrust;
  private isLinkUp = false;
  private isAsking = false;
  private isClosed = false;
  /** Why the server cannot be reached. */
  private linkError: Error | undefined;
  /** Why the server cannot reach its store. */
  private storeError: Error | undefined;
  private isToldDown = false;

  constructor(
    private readonly client: StoreClient,
    private readonly clock: Clock,
    identity: SessionIdentity,
    private readonly options: ResolvedRemoteOptions,
  ) {
    this.clientId = identity.clientId;
    this.permits = new RemotePermits(clock);
    const { urls, timeoutMs, graceMs, tls } = options;
    const { headers } = identity;
    this.calls = new RemoteCalls((body) => this.link.post(body), clock, timeoutMs, {
      answered: (sample) => this.trust.answered(sample),
      failed: (error) => this.link.cut(error),
    });
    this.recovery = new RemoteRecovery(this.permits, this.calls, client, clock);
    this.trust = new RemoteTrust(clock, graceMs, {
      isNeeded: () => !this.permits.isEmpty,
      ask: (withinMs) => void this.ask(withinMs),
      ended: () => this.distrust(),
    });
    this.link = new RemoteLink(new HttpClient(tls), { urls, headers, timeoutMs }, clock, {
      opened: (hello, sentAt) => void this.onOpened(hello, sentAt),
      event: (name, data) => this.onEvent(name, data),
      closed: (error) => this.onClosed(error),
    });
    this.flights = new RemoteFlights(this.calls, this.link);
  }

  async acquire(request: AcquireRequest): Promise<AcquireReply> {
    const answer = await this.calls.send<WireAcquireReply>(toAcquire(request));
    return this.permits.acquired(request, answer);
  }

  async cancel(key: string, id: string): Promise<void> {
    this.permits.forget(id);
    try {
      await this.calls.send({ op: 'cancel', key, id });
    } catch (error) {
      // A key that may not be used neither waits nor holds.
      if (!(error instanceof InvalidOptionsError)) throw error;
    }
    this.permits.forget(id);
  }

  async release(
    key: string,
    id: string,
    holdAtLeastMs: number,
    lastToken = 0,
  ): Promise<ReleaseOutcome> {
    this.permits.forget(id);
    const publishing = this.flights.publishingOf(id);
    if (publishing !== undefined) await publishing;
    const call = { op: 'release', key, id, holdAtLeastMs, lastToken } as const;
    const { value, isRepeated } = await this.calls.send<ReleaseOutcome>(call);
    this.permits.forget(id);
    return isRepeated ? 'released' : value;
  }

  async renew(key: string, id: string, leaseMs: number): Promise<Lease | null> {
    this.permits.willHold(id, this.clock.now() + leaseMs);
    const call = { op: 'renew', key, id, leaseMs: toWire(leaseMs) } as const;
    return this.permits.renewed(call, await this.calls.send<WireLease | null>(call));
  }

  async inspect(key: string): Promise<StoreSnapshot> {
    const { value } = await this.calls.send<unknown>({ op: 'inspect', key });
    return snapshotFromWire(value);
  }

  async *list(pattern: string): AsyncGenerator<string, void, undefined> {
    if (this.isClosed) throw new SemaphoreClosedError();
    yield* listKeys(pattern, this.link, this.clock, this.options.timeoutMs);
  }

  async setPermits(key: string, permits: number | null): Promise<void> {
    await this.calls.send({ op: 'setPermits', key, permits });
  }

  async forceRelease(key: string, id: string, onlyWaiting = false): Promise<boolean> {
    const call = { op: 'forceRelease', key, id, onlyWaiting } as const;
    return (await this.calls.send<boolean>(call)).value;
  }

  async health(timeoutMs: number): Promise<StoreHealth> {
    if (this.isClosed) throw new SemaphoreClosedError();
    const late = (): Error =>
      this.linkError ?? new Error(`the server did not answer within ${timeoutMs} ms`);
    const seen = await checkHealth(this.clock, timeoutMs, () => this.reachStore(timeoutMs), late);
    return { ...seen, isListening: this.isLinkUp, silentMs: this.link.silentMs };
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.trust.stop();
    this.calls.close();
    await this.link.close();
  }

  private async onOpened(hello: OpenEvent, sentAt: number): Promise<void> {
    const { server, now, graceMs } = hello;
    const isOther = this.trust.server !== '' && this.trust.server !== server;
    this.trust.opened({ server, now, sentAt }, graceMs);
    this.isLinkUp = true;
    this.linkError = undefined;
    this.storeError = undefined;
    await this.recovery.restore();
    // The server before may still find out that it has lost the stream.
    if (isOther) this.clock.schedule(() => this.renewAll(), graceMs / 2 + AFTER_MOVE_MS);
    this.report();
  }

  private renewAll(): void {
    if (this.isLinkUp && !this.isClosed) this.recovery.renewAll();
  }

  private onEvent(name: string, data: unknown): void {
    const handler = this.handlers[name as keyof StoreEvents] as
      ((data: unknown) => void) | undefined;
    handler?.(data);
  }

  private readonly handlers: { [E in keyof StoreEvents]: (data: StoreEvents[E]) => void } = {
    granted: ({ key, id, grant }) => {
      const local = leaseFromWire(grant, this.trust.toLocal);
      this.permits.noteHeld(key, id, local.deadline);
      this.client.granted(key, id, local);
    },
    failed: ({ key, id, message }) => {
      this.permits.forget(id);
      this.client.failed(key, id, new StoreUnavailableError(message, key));
    },
    revoked: ({ key, id }) => {
      this.permits.forget(id);
      this.client.revoked(key, id);
    },
    permitsChanged: (change) =>
      // JSON leaves it out where it is undefined.
      this.client.permitsChanged({ ...change, previous: change.previous }),
    published: ({ key, token, payload }) => this.flights.published(key, token, payload),
    forgotten: ({ key }) => this.flights.forgotten(key),
    down: ({ message }) => {
      this.storeError = new Error(message);
      this.report(this.storeError);
    },
    up: () => {
      this.storeError = undefined;
      this.report();
    },
  };

  private onClosed(error: Error): void {
    this.isLinkUp = false;
    this.linkError = error;
    this.calls.pause(error);
    this.report(error);
  }

  /** Tells the client when the store went out of reach, or came back. */
  private report(error = this.storeError): void {
    const isDown = !this.isLinkUp || this.storeError !== undefined;
    if (this.isClosed || isDown === this.isToldDown) return;
    this.isToldDown = isDown;
    if (isDown) this.client.down(error ?? new Error('the connection was closed'));
    else this.client.up();
  }

  private async reachStore(timeoutMs: number): Promise<void> {
    try {
      await this.inspect(NOBODYS_KEY);
    } catch (error) {
      // An API key with prefixes may not see it: the server has answered without its store.
      if (!(error instanceof InvalidOptionsError)) throw error;
      await readText(await this.link.get('/health', timeoutMs));
    }
  }

  /** Gives the server a sign of life. */
  private async ask(withinMs: number): Promise<void> {
    if (!this.isLinkUp || this.isAsking) return;
    this.isAsking = true;
    const sentAt = this.clock.now();
    try {
      this.trust.answered({ ...(await this.link.post(noCalls, withinMs)), sentAt });
    } catch (error) {
      this.link.cut(error as Error);
    } finally {
      this.isAsking = false;
    }
  }

  /** The server may give everything to others by now. */
  private distrust(): void {
    for (const { key, id } of this.permits.distrust()) this.client.revoked(key, id, 'expired');
  }
}
