import type { Clock, StopTimer } from '../clock.js';
import type { AcquireRequest, Grant } from '../semaphore-store.js';
import type { Sample } from './operations.js';
import type { Answer, RedisCalls } from './redis.calls.js';
import {
  ENDLESS,
  GRANT_FIELDS,
  type Granted,
  labelText,
  leaseText,
  ROUNDING_MS,
  toGrant,
  toGranted,
} from './script-format.js';

/** An acquisition that stands in the queue, or may. */
export class Waiting {
  /** Its place in the queue, once the server has told it. */
  score: number | undefined;
  /** Pairs the local with the server's clock. */
  sample: Sample | undefined;
  /** Its grant came by a message before the reply that tells its place. */
  early: Granted | undefined;
  /** The reply to its acquire is still to come. */
  isAsking = true;
  /** Its grant was handed on. */
  isGranted = false;
  /** It was given up, or released: a repeated call that puts it back must be undone. */
  isCancelled = false;

  constructor(
    readonly request: AcquireRequest,
    readonly state: string,
    private readonly client: string,
  ) {}

  /** As it stands in the queue. */
  get member(): string {
    const { id, weight, leaseMs, priority, label } = this.request;
    return `${id} ${this.client} ${weight} ${leaseText(leaseMs)} ${priority} ${labelText(label)}`;
  }
}

interface Watched {
  entries: Map<string, Waiting>;
  stop: StopTimer;
  /** Local time of the earliest lease end that is known. */
  wakeAt: number;
  /** When the timer fires: not after `wakeAt`, which moves with every hand-off. */
  ringsAt: number;
  /** When the server heard last that this process is alive. */
  toldAt: number;
}

/** Well within what a dead waiter or a lost message may cost (5 s), and the claim window of the scripts. */
const POLL_MS = 1500;
const POLL_AT_MOST = 250;

/**
 * Who waits in this process. Tells the server that they are alive and asks what became of them, every 1.5 s and after each
 * reconnect; wakes at the end of the earliest lease of a key that somebody waits for.
 */
export class RedisWaiting {
  private readonly byId = new Map<string, Waiting>();
  private readonly byKey = new Map<string, Watched>();
  private stopPolling: StopTimer | undefined;

  constructor(
    private readonly calls: RedisCalls,
    private readonly clock: Clock,
    private readonly on: {
      granted(waiting: Waiting, grant: Grant): void;
      /** A waiter was dropped by force. */
      dropped(waiting: Waiting): void;
      /** A waiter that was given up may be back in the queue. */
      undead(waiting: Waiting): void;
      /** A grant for nobody who waits here. */
      unknown(id: string): void;
    },
  ) {}

  get(id: string): Waiting | undefined {
    return this.byId.get(id);
  }

  /** Whether the server heard recently of this process as one that waits for the key. */
  isKnownAlive(state: string): boolean {
    const watched = this.byKey.get(state);
    return watched !== undefined && this.clock.now() - watched.toldAt < POLL_MS;
  }

  add(waiting: Waiting): void {
    this.byId.set(waiting.request.id, waiting);
  }

  /** The server told its place in the queue. */
  queued(waiting: Waiting, score: number, next: number, sample: Sample): void {
    const { id } = waiting.request;
    waiting.score = score;
    waiting.sample = sample;
    let watched = this.byKey.get(waiting.state);
    if (watched === undefined) {
      watched = {
        entries: new Map(),
        stop: () => undefined,
        wakeAt: Infinity,
        ringsAt: Infinity,
        toldAt: sample.sentAt,
      };
      this.byKey.set(waiting.state, watched);
    }
    watched.entries.set(id, waiting);
    this.wakeAt(waiting.state, watched, next, sample);
    this.stopPolling ??= this.clock.schedule(() => this.pollAll(), POLL_MS);
    if (waiting.early !== undefined) this.granted(id, waiting.early, true);
  }

  remove(id: string): Waiting | undefined {
    const waiting = this.byId.get(id);
    if (waiting === undefined) return undefined;
    this.byId.delete(id);
    const watched = this.byKey.get(waiting.state);
    if (watched?.entries.delete(id) === true && watched.entries.size === 0) {
      watched.stop();
      this.byKey.delete(waiting.state);
    }
    return waiting;
  }

  /** @param provisional whether the server wants to hear that somebody is there to take the grant */
  granted(id: string, granted: Granted, provisional: boolean, sample?: Sample): void {
    const waiting = this.byId.get(id);
    if (waiting === undefined) {
      this.on.unknown(id);
      return;
    }
    if (waiting.isGranted) return;
    const base = sample ?? waiting.sample;
    if (base === undefined) {
      waiting.early = granted;
      return;
    }
    const grant = toGrant(granted, provisional, base);
    if (grant.deadline <= this.clock.now()) {
      // It was on its way for too long, and has lapsed: back into the queue, at the old place.
      this.poll(waiting.state);
      return;
    }
    waiting.isGranted = true;
    if (!waiting.isAsking) this.remove(id);
    this.on.granted(waiting, grant);
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
    if (watched === undefined) return;
    const entries = [...watched.entries.values()];
    for (let i = 0; i < entries.length; i += POLL_AT_MOST) {
      this.ask(state, entries.slice(i, i + POLL_AT_MOST));
    }
  }

  close(): void {
    this.stopPolling?.();
    for (const watched of this.byKey.values()) watched.stop();
    this.byKey.clear();
    this.byId.clear();
  }

  private ask(state: string, entries: readonly Waiting[]): void {
    const list = entries.flatMap(({ member, score, request }) => [
      member,
      String(score),
      String(request.permits),
    ]);
    this.calls
      .send<number[]>({ state, text: `P${entries.length}`, list })
      .then(({ value, sample }: Answer<number[]>) => {
        const watched = this.byKey.get(state);
        for (const entry of entries) {
          entry.sample = sample;
          if (entry.isCancelled) this.on.undead(entry);
        }
        if (watched !== undefined && entries.length > 0) watched.toldAt = sample.sentAt;
        for (let i = 1; i < value.length; i += GRANT_FIELDS) {
          const entry = entries[value[i] as number] as Waiting;
          const granted = toGranted(value, i + 1);
          if (entry.isCancelled) continue;
          const { id } = entry.request;
          if (granted.token !== 0) this.granted(id, granted, true, sample);
          else if (this.remove(id) !== undefined) this.on.dropped(entry);
        }
        if (watched !== undefined) this.wakeAt(state, watched, value[0] as number, sample);
      })
      // The next round asks again.
      .catch(() => undefined);
  }

  private wakeAt(state: string, watched: Watched, next: number, sample: Sample): void {
    const wakeAt =
      next >= ENDLESS ? Infinity : sample.sentAt + (next - sample.serverNow) + ROUNDING_MS;
    watched.wakeAt = wakeAt;
    if (wakeAt < watched.ringsAt) this.ringAt(state, watched, wakeAt);
  }

  private ringAt(state: string, watched: Watched, time: number): void {
    watched.stop();
    watched.ringsAt = time;
    watched.stop = this.clock.schedule(() => {
      watched.ringsAt = Infinity;
      if (watched.wakeAt === Infinity) return;
      if (watched.wakeAt > this.clock.now()) this.ringAt(state, watched, watched.wakeAt);
      else this.ask(state, []);
    }, time - this.clock.now());
  }
}
