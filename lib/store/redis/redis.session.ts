import { StoreUnavailableError } from '../../semaphore.errors.js';
import type { Clock } from '../clock.js';
import type {
  AcquireReply,
  AcquireRequest,
  Grant,
  Lease,
  ReleaseOutcome,
  StoreSnapshot,
  StoreClient,
  StoreHealth,
  StoreSession,
} from '../semaphore-store.js';
import type { Sample } from './operations.js';
import { PendingAcquire } from './pending-acquire.js';
import { type OwnGrants, RedisCalls } from './redis.calls.js';
import type { Connector } from './redis.connection.js';
import { RedisFlights } from './redis.flights.js';
import { RedisKeys } from './redis.keys.js';
import { RedisLink } from './redis.link.js';
import { listKeys } from './redis.listing.js';
import { readSnapshot } from './redis.snapshot.js';
import { RedisUncertain } from './redis.uncertain.js';
import { RedisWaiting } from './redis.waiting.js';
import { AcquireTerms } from './acquire-terms.js';
import { AcquireCall, ReleaseCall } from './awaited-calls.js';
import {
  type AcquireAnswer,
  ENDLESS,
  GRANT_FIELDS,
  type Granted,
  labelText,
  leaseText,
  toGrant,
  toGranted,
  toLease,
} from './script-format.js';
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
  readonly flights: RedisFlights;

  private readonly keys: RedisKeys;
  private readonly link: RedisLink;
  private readonly calls: RedisCalls;
  private readonly waiting: RedisWaiting;
  private readonly uncertain: RedisUncertain;
  private readonly terms = new AcquireTerms();
  private isDown = false;

  constructor(
    private readonly client: StoreClient,
    readonly clientId: string,
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
      granted: (pending, grant) => this.onGrant(pending, grant),
      dropped: ({ request }) => client.revoked(request.key, request.id),
      undead: (pending) => this.uncertain.cancel(pending),
      unknown: (id) => {
        const pending = this.uncertain.get(id);
        if (pending !== undefined) this.uncertain.cancel(pending);
      },
    });
    this.uncertain = new RedisUncertain(this.calls, clock, timeoutMs);
  }

  acquire(request: AcquireRequest): Promise<AcquireReply> {
    const { id, key, wait, maxWaiting } = request;
    if (this.uncertain.get(id) !== undefined) return Promise.reject(stillUncertain(key));
    const pending = new PendingAcquire(request, this.keys.state(key), this.clientId);
    const room = maxWaiting === Infinity ? ANY_NUMBER : maxWaiting;
    const isNews = wait && !this.waiting.isKnownAlive(pending.state);
    if (wait) this.waiting.add(pending);
    const text =
      this.terms.of(request, wait ? room : NOT_TO_WAIT, isNews) + id + labelText(request.label);
    return new Promise((resolve, reject) => {
      this.calls.issue(new AcquireCall(pending, text, this, resolve, reject));
    });
  }

  /** What the script answered to an acquire. */
  acquired(
    pending: PendingAcquire,
    answer: AcquireAnswer,
    sample: Sample,
  ): AcquireReply | Promise<AcquireReply> {
    const { id, key, permits, leaseMs } = pending.request;
    pending.isAsking = false;
    if (typeof answer === 'number') {
      const { serverNow } = sample;
      const expiry = Math.ceil(serverNow + leaseMs);
      const granted = { token: answer, expiry, acquired: serverNow, permits };
      return this.grantedAtOnce(pending, granted, sample);
    }
    this.reportLimit(key, answer[1], permits);
    if (answer[0] === 1) {
      const [, , token, expiry, acquired, limit] = answer;
      return this.grantedAtOnce(pending, { token, expiry, acquired, permits: limit }, sample);
    }
    if (answer[0] === 0 && !pending.isGranted && !pending.isCancelled) {
      const [, , score, next] = answer;
      this.waiting.queued(pending, score, next, sample);
      return { status: 'waiting' };
    }
    this.waiting.remove(id);
    if (answer[0] === 0) {
      // A call that was repeated may have run after the cancel or the release.
      if (pending.isCancelled) this.uncertain.cancel(pending);
      return { status: 'waiting' };
    }
    const [status, , next] = answer;
    const retryAfterMs = next >= ENDLESS ? Infinity : Math.max(1, next - sample.serverNow);
    return { status: status === 2 ? 'busy' : 'queue-full', retryAfterMs };
  }

  private grantedAtOnce(
    pending: PendingAcquire,
    granted: Granted,
    sample: Sample,
  ): AcquireReply | Promise<AcquireReply> {
    this.waiting.remove(pending.request.id);
    this.calls.noteToken(granted.token);
    const reply = { status: 'granted', grant: toGrant(granted, false, sample) } as const;
    if (this.options.minReplicas === 0) return reply;
    return this.replicated(pending).then(
      () => reply,
      (error: unknown) => {
        throw this.notAcquired(pending, error);
      },
    );
  }

  /** What becomes of an acquisition whose call failed. @returns the error */
  notAcquired(pending: PendingAcquire, error: unknown): unknown {
    this.waiting.remove(pending.request.id);
    const isHeld = pending.isGranted && !pending.isCancelled;
    if (!isHeld && !isNothingDone(error)) this.uncertain.add(pending);
    return error;
  }

  async cancel(key: string, id: string): Promise<void> {
    const pending = this.waiting.get(id) ?? this.uncertain.get(id);
    const state = this.keys.state(key);
    if (pending !== undefined) {
      pending.isCancelled = true;
      if (!pending.isAsking) this.waiting.remove(id);
    }
    try {
      await this.calls.send({ state, text: `C${id} ${pending?.member ?? ''}` });
    } catch (error) {
      // The next attempt has to know what to take out of the queue.
      if (pending !== undefined) this.uncertain.add(pending);
      throw error;
    }
  }

  release(key: string, id: string, holdAtLeastMs: number, lastToken = 0): Promise<ReleaseOutcome> {
    const asking = this.waiting.get(id);
    if (asking?.isGranted) asking.isCancelled = true;
    const text =
      holdAtLeastMs === 0 && lastToken === 0 ? `R${id}` : `R${id} ${holdAtLeastMs} ${lastToken}`;
    return new Promise((resolve, reject) => {
      this.calls.issue(new ReleaseCall(this.keys.state(key), text, resolve, reject));
    });
  }

  async renew(key: string, id: string, leaseMs: number): Promise<Lease | null> {
    const text = `N${id} ${leaseText(leaseMs)}`;
    const { value, sample } = await this.calls.send<number>({ state: this.keys.state(key), text });
    return value === 0 ? null : toLease(value, sample);
  }

  async inspect(key: string): Promise<StoreSnapshot> {
    const state = this.keys.state(key);
    return readSnapshot(key, (...page) => this.calls.read(inspectScript, state, page));
  }

  list(pattern: string): AsyncIterable<string> {
    return listKeys(pattern, this.link, this.calls, this.keys);
  }

  async setPermits(key: string, permits: number | null): Promise<void> {
    const state = this.keys.state(key);
    const { value } = await this.calls.send<number>({ state, text: `L${permits ?? ''}` });
    if (permits !== null) this.reportLimit(key, value === 0 ? undefined : value, permits, true);
  }

  async forceRelease(key: string, id: string, onlyWaiting = false): Promise<boolean> {
    const state = this.keys.state(key);
    const first = (answer: number): void => {
      if (answer === 1) this.revoked(state, id);
    };
    const text = `${onlyWaiting ? 'D' : 'F'}${id}`;
    const { value } = await this.calls.send<number>({ state, text, first });
    return value === 1;
  }

  health(timeoutMs: number): Promise<StoreHealth> {
    return this.link.health(timeoutMs);
  }

  async close(): Promise<void> {
    this.waiting.close();
    this.uncertain.close();
    await this.link.close();
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
    for (let i = 0; i < grants.length; i += GRANT_FIELDS) {
      this.waiting.granted(String(grants[i]), toGranted(grants, i + 1), false, sample);
    }
  }

  /** `id token expiry acquired limit,...` grants · `!id state` a forced release · `?state` a lease that ends earlier than known · `=...` the result of a flight */
  private onMessage(text: string): void {
    const rest = text.slice(1);
    if (text.startsWith('?')) {
      this.waiting.poll(rest);
    } else if (text.startsWith('=')) {
      this.flights.onMessage(rest);
    } else if (text.startsWith('!')) {
      const end = rest.indexOf(' ');
      this.revoked(rest.slice(end + 1), rest.slice(0, end));
    } else {
      for (const one of text.split(',')) {
        const fields = one.split(' ');
        this.waiting.granted(fields[0] as string, toGranted(fields, 1), true);
      }
    }
  }

  private revoked(state: string, id: string): void {
    this.waiting.remove(id);
    this.client.revoked(this.keys.keyOf(state), id);
  }

  private onGrant(pending: PendingAcquire, grant: Grant): void {
    const { key, id } = pending.request;
    this.calls.noteToken(grant.fencingToken);
    if (this.options.minReplicas === 0) {
      this.client.granted(key, id, grant);
      return;
    }
    this.replicated(pending).then(
      () => this.client.granted(key, id, grant),
      (error: Error) => {
        this.uncertain.add(pending);
        this.client.failed(key, id, error);
      },
    );
  }

  /** WAIT counts what this connection wrote: a grant made by another process is written again first. */
  private async replicated({ request, state }: PendingAcquire): Promise<void> {
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

/** Whoever got the id again would lose it. */
function stillUncertain(key: string): StoreUnavailableError {
  const detail = 'an earlier call under the same id is still being taken back';
  return new StoreUnavailableError(detail, key, undefined, true);
}

function isNothingDone(error: unknown): boolean {
  return error instanceof StoreUnavailableError && error.nothingDone;
}
