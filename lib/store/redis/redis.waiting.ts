import { setImmediate } from 'node:timers';
import { ChurningMap } from '../../churning-map.js';
import { groupBy } from './group-by.js';
import type { Clock, StopTimer } from '../clock.js';
import type { Grant } from '../semaphore-store.js';
import type { Sample } from './operations.js';
import type { PendingAcquire } from './pending-acquire.js';
import type { RedisCalls } from './redis.calls.js';
import { GRANT_FIELDS, type Granted, toGrant, toGranted } from './script-format.js';
import { WatchedKey } from './watched-key.js';

/** Well within what a dead waiter or a lost message may cost (5 s), and the claim window of the scripts. */
const POLL_MS = 1500;
const POLL_AT_MOST = 250;
/** Of a grant's time, when its message took some of it. It is claimed at once, and counts from then on as any other. */
const CERTAIN_PART = 0.98;

/**
 * Who waits in this process. Tells the server that they are alive and asks what became of them, every 1.5 s and after each
 * reconnect; wakes at the end of the earliest lease of a key that somebody waits for.
 */
export class RedisWaiting {
  private readonly byId = new ChurningMap<string, PendingAcquire>();
  private readonly byKey = new ChurningMap<string, WatchedKey>();
  private stopPolling: StopTimer | undefined;
  /** Of this turn of the event loop: after a pause of the process it may be every grant of a long message. */
  private readonly lapsed: PendingAcquire[] = [];
  /** Local time: messages that were sent before it may have been missed. */
  private deafUntil = -Infinity;

  constructor(
    private readonly calls: RedisCalls,
    private readonly clock: Clock,
    private readonly on: {
      granted(pending: PendingAcquire, grant: Grant): void;
      /** A waiter was dropped by force. */
      dropped(pending: PendingAcquire): void;
      /** A waiter that was given up may be back in the queue. */
      undead(pending: PendingAcquire): void;
      /** A lost copy of a poll may put one back that was given up, or released. */
      doubted(pending: PendingAcquire): void;
      /** A grant for nobody who waits here. */
      unknown(id: string): void;
    },
  ) {}

  get(id: string): PendingAcquire | undefined {
    return this.byId.get(id);
  }

  /** Whether the server heard recently of this process as one that waits for the key. */
  isKnownAlive(state: string): boolean {
    const watched = this.byKey.get(state);
    return watched !== undefined && this.clock.now() - watched.toldAt < POLL_MS;
  }

  add(pending: PendingAcquire): void {
    this.byId.set(pending.request.id, pending);
  }

  /** The server told its place in the queue. */
  queued(pending: PendingAcquire, score: number, next: number, sample: Sample): void {
    const { id } = pending.request;
    pending.score = score;
    pending.sample = sample;
    let watched = this.byKey.get(pending.state);
    if (watched === undefined) {
      watched = new WatchedKey(this.clock, sample.sentAt, () => this.ask(pending.state, []));
      this.byKey.set(pending.state, watched);
    }
    watched.entries.set(id, pending);
    watched.expect(next, sample);
    this.stopPolling ??= this.clock.schedule(() => this.pollAll(), POLL_MS);
    if (pending.early !== undefined) this.granted(id, pending.early, true);
    // It was not among those that were asked for then.
    if (sample.sentAt < this.deafUntil) this.ask(pending.state, [pending]);
  }

  remove(id: string): PendingAcquire | undefined {
    const pending = this.byId.get(id);
    if (pending === undefined) return undefined;
    this.byId.delete(id);
    const watched = this.byKey.get(pending.state);
    if (watched?.entries.delete(id) === true && watched.entries.size === 0) {
      watched.stop();
      this.byKey.delete(pending.state);
    }
    return pending;
  }

  /** @param provisional whether the server wants to hear that somebody is there to take the grant */
  granted(id: string, granted: Granted, provisional: boolean, sample?: Sample): void {
    const pending = this.byId.get(id);
    if (pending === undefined) {
      this.on.unknown(id);
      return;
    }
    if (pending.isGranted) return;
    const base = sample ?? pending.sample;
    if (base === undefined) {
      pending.early = granted;
      return;
    }
    const grant = toGrant(granted, provisional, base);
    if (sample === undefined) this.capDeadline(grant, granted);
    if (grant.deadline <= this.clock.now()) {
      // It was on its way for too long, and has lapsed: back into the queue, at the old place.
      if (this.lapsed.push(pending) === 1) setImmediate(this.askForLapsed);
      return;
    }
    pending.isGranted = true;
    if (!pending.isAsking) {
      this.remove(id);
      this.expectRelease(pending);
    }
    this.on.granted(pending, grant);
  }

  /** It holds: while a lost copy of one of its calls, or a poll under way, may be run, it matters when it is released. */
  expectRelease(pending: PendingAcquire): void {
    if (pending.doubtedUntil === 0 && pending.polls === 0) return;
    const { id } = pending.request;
    pending.isGranted = true;
    this.byId.set(id, pending);
    if (pending.doubtedUntil === 0) return;
    const forgetInTime = (): void => {
      if (this.byId.get(id) !== pending) return;
      const leftMs = pending.doubtedUntil - this.clock.now();
      if (leftMs > 0) this.clock.schedule(forgetInTime, leftMs);
      else this.byId.delete(id);
    };
    forgetInTime();
  }

  /** The channel is heard (again). */
  listening(): void {
    this.deafUntil = this.clock.now();
    this.pollAll();
  }

  pollAll(): void {
    this.stopPolling?.();
    this.stopPolling = undefined;
    if (this.byKey.size === 0) return;
    this.stopPolling = this.clock.schedule(() => this.pollAll(), POLL_MS);
    for (const state of this.byKey.keys()) this.poll(state);
  }

  /** Asks what became of those who wait for a key. */
  poll(state: string): void {
    const watched = this.byKey.get(state);
    if (watched !== undefined) this.askForAll(state, [...watched.entries.values()]);
  }

  close(): void {
    this.stopPolling?.();
    for (const watched of this.byKey.values()) watched.stop();
    this.byKey.clear();
    this.byId.clear();
  }

  /**
   * What came by a message is measured by an earlier sample, since when the server's clock may have jumped ahead: the grant is
   * not counted on for longer than it was made for, less what the message may have taken.
   */
  private capDeadline(grant: Grant, { expiry, acquired }: Granted): void {
    if (grant.deadline === Infinity) return;
    const end = this.clock.now() + (expiry - acquired) * CERTAIN_PART;
    grant.deadline = Math.min(grant.deadline, end);
  }

  private readonly askForLapsed = (): void => {
    const waiting = this.lapsed.splice(0).filter((pending) => {
      const watched = this.byKey.get(pending.state);
      return watched?.entries.get(pending.request.id) === pending;
    });
    const byState = groupBy(waiting, ({ state }) => state);
    for (const [state, entries] of byState) this.askForAll(state, entries);
  };

  private askForAll(state: string, entries: readonly PendingAcquire[]): void {
    for (let i = 0; i < entries.length; i += POLL_AT_MOST) {
      this.ask(state, entries.slice(i, i + POLL_AT_MOST));
    }
  }

  private ask(state: string, entries: readonly PendingAcquire[]): void {
    const list = entries.flatMap(({ member, score, request }) => [
      member,
      String(score),
      String(request.permits),
    ]);
    const doubted = (until: number): void => {
      for (const entry of entries) this.doubt(entry, until);
    };
    for (const entry of entries) entry.polls++;
    this.calls
      .send({ state, text: `P${entries.length}`, list, doubted }, (answer: number[], sample) => ({
        answer,
        sample,
      }))
      .then(({ answer, sample }) => this.answered(state, entries, answer, sample))
      // The next round asks again.
      .catch(() => undefined)
      .finally(() => {
        for (const entry of entries) {
          entry.polls--;
          this.forgetServed(entry);
        }
      });
  }

  /** What became of those who were asked for. */
  private answered(
    state: string,
    entries: readonly PendingAcquire[],
    answer: readonly number[],
    sample: Sample,
  ): void {
    for (const entry of entries) {
      entry.sample = sample;
      if (entry.isCancelled) this.on.undead(entry);
    }
    for (let i = 1; i < answer.length; i += GRANT_FIELDS) {
      const entry = entries[answer[i] as number] as PendingAcquire;
      const granted = toGranted(answer, i + 1);
      if (entry.isCancelled) continue;
      const { id } = entry.request;
      if (granted.token !== 0) this.granted(id, granted, true, sample);
      else if (this.remove(id) !== undefined) this.on.dropped(entry);
    }
    const watched = this.byKey.get(state);
    if (watched === undefined) return;
    if (entries.length > 0) watched.toldAt = sample.sentAt;
    watched.expect(answer[0] as number, sample);
  }

  private doubt(entry: PendingAcquire, until: number): void {
    const { id } = entry.request;
    entry.doubtedUntil = until;
    const current = this.byId.get(id) ?? entry;
    // Who was granted by then may have asked once more.
    current.doubtedUntil = until;
    if (entry.isCancelled) this.on.doubted(entry);
    else if (current.isGranted && !current.isAsking) this.expectRelease(current);
  }

  /** One that holds was kept for a poll that has been answered. */
  private forgetServed(entry: PendingAcquire): void {
    const { id } = entry.request;
    const isKept = entry.isGranted && !entry.isAsking && entry.doubtedUntil === 0;
    if (isKept && entry.polls === 0 && this.byId.get(id) === entry) this.byId.delete(id);
  }
}
