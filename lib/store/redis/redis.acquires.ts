import { isNothingDone, StoreUnavailableError } from '../../semaphore.errors.js';
import type { Clock } from '../clock.js';
import type { AcquireReply, AcquireRequest, Grant, StoreClient } from '../semaphore-store.js';
import { AcquireTerms } from './acquire-terms.js';
import { AcquireCall, type Acquirer } from './awaited-calls.js';
import type { Operation, Sample } from './operations.js';
import { PendingAcquire } from './pending-acquire.js';
import type { OwnGrants, RedisCalls } from './redis.calls.js';
import type { RedisKeys } from './redis.keys.js';
import type { RedisReplicas } from './redis.replicas.js';
import { RedisUncertain } from './redis.uncertain.js';
import { RedisWaiting } from './redis.waiting.js';
import {
  type AcquireAnswer,
  BUSY,
  GRANT_FIELDS,
  GRANTED,
  type Granted,
  ignore,
  labelText,
  toGrant,
  toGranted,
  WAITING,
} from './script-format.js';
import { ENDLESS } from './scripts/embedded.js';

/** How many may wait, as the script takes it. */
const ANY_NUMBER = -1;
const NOT_TO_WAIT = -2;

/** The acquires of one process, from the call until they hold for certain, or neither wait nor hold. */
export class RedisAcquires implements Acquirer {
  readonly waiting: RedisWaiting;
  private readonly uncertain: RedisUncertain;
  private readonly terms = new AcquireTerms();

  constructor(
    private readonly client: StoreClient,
    private readonly clientId: string,
    private readonly calls: RedisCalls,
    private readonly keys: RedisKeys,
    private readonly replicas: RedisReplicas,
    clock: Clock,
    timeoutMs: number,
  ) {
    this.waiting = new RedisWaiting(calls, clock, {
      granted: (pending, grant) => this.onGrant(pending, grant),
      dropped: (pending) => {
        this.ended(pending);
        client.revoked(pending.request.key, pending.request.id);
      },
      undead: (pending) => this.uncertain.cancel(pending),
      doubted: (pending) => this.uncertain.addDoubted(pending),
      unknown: (id) => {
        const pending = this.uncertain.get(id);
        if (pending !== undefined) this.uncertain.cancel(pending);
      },
    });
    this.uncertain = new RedisUncertain(calls, clock, timeoutMs);
  }

  acquire(request: AcquireRequest): Promise<AcquireReply> {
    const { id, key, wait, maxWaiting } = request;
    if (this.uncertain.get(id) !== undefined) return Promise.reject(stillUncertain(key));
    const pending = new PendingAcquire(request, this.keys.state(key), this.clientId);
    const room = maxWaiting === Infinity ? ANY_NUMBER : maxWaiting;
    // Who asks again under the id, because its grant was a short one, does not undo what was doubtful before.
    pending.doubtedUntil = this.waiting.get(id)?.doubtedUntil ?? 0;
    const isNews = wait && !this.waiting.isKnownAlive(pending.state);
    if (wait) this.waiting.add(pending);
    const terms = this.terms.of(request, wait ? room : NOT_TO_WAIT);
    const text = terms + (isNews ? '1' : '0') + id + labelText(request.label);
    return new Promise((resolve, reject) => {
      this.calls.issue(new AcquireCall(pending, text, this, resolve, reject));
    });
  }

  acquired(
    pending: PendingAcquire,
    answer: AcquireAnswer,
    sample: Sample,
  ): AcquireReply | Promise<AcquireReply> {
    const { key, permits, leaseMs } = pending.request;
    pending.isAsking = false;
    if (typeof answer === 'number') {
      const { serverNow } = sample;
      const expiry = Math.ceil(serverNow + leaseMs);
      const granted = { token: answer, expiry, acquired: serverNow, permits };
      return this.grantedAtOnce(pending, granted, sample);
    }
    const previous = answer[1];
    if (previous !== -1) this.client.permitsChanged({ key, permits, previous, pinned: false });
    if (answer[0] === GRANTED) {
      const [, , token, expiry, acquired, limit, again] = answer;
      const granted = { token, expiry, acquired, permits: limit };
      // The same call may have been run before.
      const isAgain = again === 1 && pending.doubtedUntil === 0;
      return this.grantedAtOnce(pending, granted, sample, isAgain);
    }
    if (answer[0] === WAITING) {
      const [, , score, next] = answer;
      this.queued(pending, score, next, sample);
      return { status: 'waiting' };
    }
    this.waiting.remove(pending.request.id);
    this.uncertain.addDoubted(pending);
    const [status, , next] = answer;
    const retryAfterMs = next >= ENDLESS ? Infinity : Math.max(1, next - sample.serverNow);
    return { status: status === BUSY ? 'busy' : 'queue-full', retryAfterMs };
  }

  notAcquired(pending: PendingAcquire, error: unknown): unknown {
    this.waiting.remove(pending.request.id);
    const isHeld = pending.isGranted && !pending.isCancelled;
    if (!isHeld && !isNothingDone(error)) this.uncertain.add(pending);
    return error;
  }

  /** It is being released, or was by force, while more is to be known of it. */
  ended(pending: PendingAcquire): void {
    pending.isCancelled = true;
    // The reply to its acquire is still to come, and must find that it waits no longer.
    if (pending.isAsking) return;
    this.waiting.remove(pending.request.id);
    this.uncertain.addDoubted(pending);
  }

  async cancel(key: string, id: string): Promise<void> {
    const pending = this.waiting.get(id) ?? this.uncertain.get(id);
    const state = this.keys.state(key);
    if (pending !== undefined) {
      pending.isCancelled = true;
      if (!pending.isAsking) this.waiting.remove(id);
    }
    try {
      await this.calls.send({ state, text: `C${id} ${pending?.member ?? ''}` }, ignore);
      if (pending !== undefined) this.uncertain.addDoubted(pending);
    } catch (error) {
      // The next attempt has to know what to take out of the queue.
      if (pending !== undefined) this.uncertain.add(pending);
      throw error;
    }
  }

  /** Grants that came with the answer to a call of this process. @param operations of the call */
  onOwnGrants(grants: OwnGrants, sample: Sample, operations: readonly Operation[]): void {
    for (let i = 0; i < grants.length; i += GRANT_FIELDS) {
      const id = String(grants[i]);
      const isKnown = this.waiting.get(id) !== undefined || this.uncertain.get(id) !== undefined;
      if (!isKnown) this.free(id, operations);
      this.waiting.granted(id, toGranted(grants, i + 1), false, sample);
    }
  }

  /**
   * Nobody here waits under the id: the client gave it up, and its session at another server, which does not know, has put it
   * back. Such a grant does not lapse.
   */
  private free(id: string, operations: readonly Operation[]): void {
    for (const state of new Set(operations.map((operation) => operation.state))) {
      this.calls.send({ state, text: `C${id} ` }, ignore).catch(ignore);
    }
  }

  close(): void {
    this.waiting.close();
    this.uncertain.close();
  }

  private queued(pending: PendingAcquire, score: number, next: number, sample: Sample): void {
    if (!pending.isGranted && !pending.isCancelled) {
      this.waiting.queued(pending, score, next, sample);
      return;
    }
    this.waiting.remove(pending.request.id);
    // A call that was repeated may have run after the cancel or the release.
    if (pending.isCancelled) this.uncertain.cancel(pending);
    // Its grant came with the answer.
    else this.waiting.expectRelease(pending);
  }

  private grantedAtOnce(
    pending: PendingAcquire,
    granted: Granted,
    sample: Sample,
    isAgain = false,
  ): AcquireReply | Promise<AcquireReply> {
    this.waiting.remove(pending.request.id);
    this.calls.noteToken(granted.token);
    const reply = { status: 'granted', grant: toGrant(granted, false, sample) } as const;
    if (isAgain) reply.grant.again = true;
    if (!this.replicas.areAwaited) {
      this.waiting.expectRelease(pending);
      return reply;
    }
    return this.replicas.confirm(pending).then(
      () => {
        this.waiting.expectRelease(pending);
        return reply;
      },
      (error: unknown) => {
        throw this.notAcquired(pending, error);
      },
    );
  }

  /** To one that waited. */
  private onGrant(pending: PendingAcquire, grant: Grant): void {
    const { key, id } = pending.request;
    this.calls.noteToken(grant.fencingToken);
    if (!this.replicas.areAwaited) {
      this.client.granted(key, id, grant);
      return;
    }
    this.replicas.confirm(pending).then(
      () => this.client.granted(key, id, grant),
      (error: Error) => {
        this.uncertain.add(pending);
        this.client.failed(key, id, error);
      },
    );
  }
}

/** Whoever got the id again would lose it. */
function stillUncertain(key: string): StoreUnavailableError {
  const detail = 'an earlier call under the same id is still being taken back';
  return new StoreUnavailableError(detail, key, undefined, true);
}
