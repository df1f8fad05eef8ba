import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { StoreUnavailableError } from '../../semaphore.errors.js';
import type { Clock } from '../clock.js';
import type {
  AcquireReply,
  AcquireRequest,
  Grant,
  Lease,
  ReleaseOutcome,
  SemaphoreSnapshot,
  StoreClient,
  StoreSession,
} from '../semaphore-store.js';
import { RedisCalls, type OwnGrants, type Sample } from './redis.calls.js';
import type { Connector } from './redis.connection.js';
import { RedisFlights } from './redis.flights.js';
import { RedisKeys } from './redis.keys.js';
import { RedisLink } from './redis.link.js';
import { listKeys } from './redis.listing.js';
import { type InspectReply, toSnapshot } from './redis.snapshot.js';
import { RedisUncertain } from './redis.uncertain.js';
import { ENDLESS, RedisWaiting, toGrant, toLease, type Waiting } from './redis.waiting.js';
import { inspectScript } from './scripts/embedded.js';

export interface RedisSessionOptions {
  keyPrefix: string;
  storeTimeoutMs: number;
  minReplicas: number;
  replicaTimeoutMs: number;
}

/** How many may wait, as the script takes it. */
const ANY_NUMBER = -1;
const NOT_TO_WAIT = -2;

/** One process on one Redis: translates the port's calls into operations of the script. */
export class RedisSession implements StoreSession {
  readonly clientId = `${hostname()
    .replace(/[^\w.-]/g, '_')
    .slice(0, 64)}:${process.pid}:${randomBytes(4).toString('hex')}`;

  readonly flights: RedisFlights;

  private readonly keys: RedisKeys;
  private readonly link: RedisLink;
  private readonly calls: RedisCalls;
  private readonly waiting: RedisWaiting;
  private readonly uncertain: RedisUncertain;
  private isDown = false;

  constructor(
    private readonly client: StoreClient,
    clock: Clock,
    connector: Connector,
    private readonly options: RedisSessionOptions,
  ) {
    const timeoutMs = options.storeTimeoutMs;
    this.keys = new RedisKeys(connector.keyPrefix + options.keyPrefix);
    this.link = new RedisLink(connector, this.keys.channel(this.clientId), clock, timeoutMs, {
      up: () => this.onUp(),
      down: (error) => this.onDown(error),
      subscribed: () => this.waiting.pollAll(),
      message: (text) => this.onMessage(text),
    });
    this.calls = new RedisCalls(
      this.link,
      this.keys,
      this.clientId,
      clock,
      timeoutMs,
      (grants, sample) => this.onOwnGrants(grants, sample),
    );
    this.flights = new RedisFlights(this.calls, this.keys);
    this.waiting = new RedisWaiting(this.calls, clock, {
      granted: (waiting, grant) => this.onGrant(waiting, grant),
      dropped: ({ request }) => client.revoked(request.key, request.id),
      undead: (waiting) => this.uncertain.cancel(waiting),
      unknown: (id) => {
        const waiting = this.uncertain.get(id);
        if (waiting !== undefined) this.uncertain.cancel(waiting);
      },
    });
    this.uncertain = new RedisUncertain(this.calls, clock, timeoutMs);
  }

  async acquire(request: AcquireRequest): Promise<AcquireReply> {
    const { id, key, permits, wait, maxWaiting } = request;
    const waiting: Waiting = {
      request,
      state: this.keys.state(key),
      member: this.memberOf(request),
      isAsking: true,
    };
    const room = maxWaiting === Infinity ? ANY_NUMBER : maxWaiting;
    const alive = wait && !this.waiting.isKnownAlive(waiting.state) ? 1 : 0;
    if (wait) this.waiting.add(waiting);
    try {
      const { value, sample } = await this.calls.send<[number, number, number, number, number]>({
        state: waiting.state,
        code: 'A',
        args: [waiting.member, permits, wait ? room : NOT_TO_WAIT, alive],
      });
      this.reportLimit(key, value.at(-1), permits);
      waiting.isAsking = false;
      if (value[0] === 0 && waiting.isGranted !== true && waiting.isCancelled !== true) {
        const [, score, next] = value;
        this.waiting.queued(waiting, score, next, sample);
        return { status: 'waiting' };
      }
      this.waiting.remove(id);
      if (value[0] === 0) {
        // A call that was repeated may have run after the cancel or the release.
        if (waiting.isCancelled === true) this.uncertain.cancel(waiting);
        return { status: 'waiting' };
      }
      if (value[0] === 1) {
        const [, token, expiry, acquired] = value;
        const grant = toGrant({ token, expiry, acquired }, false, sample);
        this.calls.noteToken(token);
        if (this.options.minReplicas > 0) await this.replicated(waiting);
        return { status: 'granted', grant };
      }
      const retryAfterMs =
        value[1] >= ENDLESS ? Infinity : Math.max(1, value[1] - sample.serverNow);
      return { status: value[0] === 2 ? 'busy' : 'queue-full', retryAfterMs };
    } catch (error) {
      this.waiting.remove(id);
      const isHeld = waiting.isGranted === true && waiting.isCancelled !== true;
      const isKnown = isHeld || isNothingDone(error);
      if (!isKnown) this.uncertain.add(waiting);
      throw error;
    }
  }

  async cancel(key: string, id: string): Promise<void> {
    const waiting = this.waiting.get(id) ?? this.uncertain.get(id);
    const state = this.keys.state(key);
    if (waiting !== undefined) {
      waiting.isCancelled = true;
      if (!waiting.isAsking) this.waiting.remove(id);
    }
    try {
      await this.calls.send({ state, code: 'C', args: [id, waiting?.member ?? ''] });
    } catch (error) {
      // The next attempt has to know what to take out of the queue.
      if (waiting !== undefined) this.uncertain.add(waiting);
      throw error;
    }
  }

  async release(key: string, id: string, holdAtLeastMs: number): Promise<ReleaseOutcome> {
    const state = this.keys.state(key);
    const asking = this.waiting.get(id);
    if (asking?.isGranted === true) asking.isCancelled = true;
    const { value } = await this.calls.send<number>({
      state,
      code: 'R',
      args: [id, holdAtLeastMs],
    });
    return value === 1 ? 'released' : 'expired';
  }

  async renew(key: string, id: string, leaseMs: number): Promise<Lease | null> {
    const state = this.keys.state(key);
    const { value, sample } = await this.calls.send<number>({
      state,
      code: 'N',
      args: [id, leaseText(leaseMs)],
    });
    return value === 0 ? null : toLease(value, sample);
  }

  async inspect(key: string): Promise<SemaphoreSnapshot> {
    const state = this.keys.state(key);
    const reply = await this.calls.read(inspectScript, state);
    return toSnapshot(key, reply as InspectReply);
  }

  list(pattern: string): AsyncIterable<string> {
    return listKeys(pattern, this.link, this.calls, this.keys);
  }

  async setPermits(key: string, permits: number | null): Promise<void> {
    const state = this.keys.state(key);
    const { value } = await this.calls.send<number>({ state, code: 'L', args: [permits ?? ''] });
    if (permits !== null) this.reportLimit(key, value === 0 ? undefined : value, permits, true);
  }

  async forceRelease(key: string, id: string): Promise<boolean> {
    const state = this.keys.state(key);
    const { value } = await this.calls.send<number>({ state, code: 'F', args: [id] });
    return value === 1;
  }

  async close(): Promise<void> {
    this.waiting.close();
    this.uncertain.close();
    await this.link.close();
  }

  private memberOf({ id, weight, leaseMs, priority, label }: AcquireRequest): string {
    return `${id} ${this.clientId} ${weight} ${leaseText(leaseMs)} ${priority} ${label === undefined ? '' : `=${label}`}`;
  }

  private reportLimit(
    key: string,
    previous: number | undefined,
    permits: number,
    pinned = false,
  ): void {
    if (previous === -1 || previous === permits) return;
    this.client.permitsChanged({ key, permits, previous, pinned });
  }

  private onOwnGrants(grants: OwnGrants, sample: Sample): void {
    for (let i = 0; i < grants.length; i += 4) {
      const [id, token, expiry, acquired] = grants.slice(i, i + 4) as [
        string,
        number,
        number,
        number,
      ];
      this.waiting.granted(id, { token, expiry, acquired }, false, sample);
    }
  }

  /**
   * `id token expiry acquired,...` grants · `!id state` a forced release · `?state` a lease that ends earlier than known
   * `=...` the result of a flight
   */
  private onMessage(text: string): void {
    const rest = text.slice(1);
    if (text.startsWith('?')) {
      this.waiting.poll(rest);
    } else if (text.startsWith('=')) {
      this.flights.onMessage(rest);
    } else if (text.startsWith('!')) {
      const end = rest.indexOf(' ');
      const [id, state] = [rest.slice(0, end), rest.slice(end + 1)];
      this.waiting.remove(id);
      this.client.revoked(this.keys.keyOf(state), id);
    } else {
      for (const one of text.split(',')) {
        const [id, token, expiry, acquired] = one.split(' ') as [string, string, string, string];
        const granted = {
          token: Number(token),
          expiry: Number(expiry),
          acquired: Number(acquired),
        };
        this.waiting.granted(id, granted, true);
      }
    }
  }

  private onGrant(waiting: Waiting, grant: Grant): void {
    const { key, id } = waiting.request;
    this.calls.noteToken(grant.fencingToken);
    if (this.options.minReplicas === 0) {
      this.client.granted(key, id, grant);
      return;
    }
    this.replicated(waiting).then(
      () => this.client.granted(key, id, grant),
      (error: Error) => {
        this.uncertain.add(waiting);
        this.client.failed(key, id, error);
      },
    );
  }

  /** WAIT counts what this connection wrote: a grant made by another process is written again first. */
  private async replicated({ request, state }: Waiting): Promise<void> {
    const { minReplicas, replicaTimeoutMs } = this.options;
    if ((await this.renew(request.key, request.id, request.leaseMs)) === null) {
      throw new StoreUnavailableError('the grant lapsed before replicas confirmed it', request.key);
    }
    const slot = this.calls.slotOf(state);
    const confirmed = await this.calls.inTime(this.link.wait(slot, minReplicas, replicaTimeoutMs));
    if (confirmed < minReplicas) {
      throw new StoreUnavailableError(
        `${confirmed} of ${minReplicas} replicas confirmed the grant within ${replicaTimeoutMs} ms`,
        request.key,
      );
    }
  }

  private onUp(): void {
    this.waiting.pollAll();
    if (!this.isDown) return;
    this.isDown = false;
    this.client.up();
  }

  private onDown(error: Error): void {
    if (this.isDown) return;
    this.isDown = true;
    this.client.down(error);
  }
}

function isNothingDone(error: unknown): boolean {
  return error instanceof StoreUnavailableError && error.nothingDone;
}

function leaseText(leaseMs: number): string {
  return leaseMs === Infinity ? '-' : String(leaseMs);
}
