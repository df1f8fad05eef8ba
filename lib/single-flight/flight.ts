import { setImmediate } from 'node:timers';
import { Abandonment } from '../core/abandonment.js';
import { whenLost } from '../core/held-permit.js';
import type { Permit } from '../core/permit.js';
import type { SemaphoreCore } from '../core/semaphore-core.js';
import {
  PermitUnavailableError,
  type ResultNotSharedError,
  SemaphoreClosedError,
  SingleFlightAbortedError,
  StoreUnavailableError,
} from '../semaphore.errors.js';
import { resolveOptions } from '../resolve-options.js';
import type { FlightLook, SingleFlightStore } from '../store/single-flight-store.js';
import { within } from '../store/within.js';
import { type Outcome, pack, TOO_LONG_FOR_THE_WAY, unpack } from './envelope.js';
import type { FlightCaller } from './flight-caller.js';
import { release } from './leading-permit.js';
import type { ResolvedFlightOptions } from './single-flight.options.js';

/** What all flights of a process share. */
export interface FlightControl {
  readonly core: SemaphoreCore;
  readonly store: SingleFlightStore;
  /** Nobody joins the flight any more. */
  leave(flight: Flight): void;
}

/** How often a leader whose callers have all gone asks whether other processes still wait. */
const ASK_FOR_FOLLOWERS_MS = 1000;

/** Of all flights: their keys are too many. */
const TELEMETRY_NAME = 'single-flight';

/** The result of a leader's callers is not kept from them for longer than this, because the store is slow, or away. */
const PUBLISHED_WITHIN_MS = 100;

// Made once: nobody gets to see them.
const LEFT = new Error('Nobody waits for the permit any more.');
const LATE = new Error('The store has not answered yet.');

/**
 * The callers of one key in this process, until they have a result: one that is stored, the one of another process that
 * leads, or the one of the work that they brought, when this process has got the permit.
 */
export class Flight {
  private readonly callers = new Set<FlightCaller>();
  private readonly options: ResolvedFlightOptions;
  private readonly queueing = new Abandonment();
  /** Made for a leader only: it is not cheap. */
  private work: AbortController | undefined;
  private isRefresh = false;
  private isGranted = false;
  private isWorking = false;
  private isAskingForFollowers = false;
  /** Whose work it was, and why nobody else gets its result. */
  private leader: FlightCaller | undefined;
  private refusal: ResultNotSharedError | undefined;

  private acquiring: Promise<Permit> | undefined;

  /** Token of the last publication before the flight stood in the queue. */
  private seen: number | undefined;
  /** A publication that came before that was known. */
  private early: [token: number, payload: string | undefined] | undefined;
  private hasLanded = false;

  /** @param permitKey of the semaphore whose holder leads */
  constructor(
    readonly permitKey: string,
    private readonly first: FlightCaller,
    private readonly control: FlightControl,
  ) {
    this.options = first.options;
  }

  join(caller: FlightCaller): void {
    this.callers.add(caller);
  }

  /** A caller has given up. */
  part(caller: FlightCaller): void {
    this.callers.delete(caller);
    if (this.callers.size > 0) return;
    if (this.isWorking) {
      if (!this.isAskingForFollowers) void this.stopUnlessFollowed();
    } else {
      this.control.leave(this);
      this.queueing.abort(LEFT);
      // Done without the store, it is nobody else's.
      this.work?.abort(this.deserted());
    }
  }

  /** Gives its callers a result. Never rejects. */
  async fly(): Promise<void> {
    try {
      const outcome = await this.getOutcome();
      if (outcome !== undefined) this.land(outcome);
    } catch (error) {
      if (!this.hasLanded) this.land(await this.without(error));
    }
  }

  /**
   * Makes a new result in the background, unless somebody else does. When that fails what is stored is used until its time is
   * over. Never rejects.
   */
  async refresh(): Promise<void> {
    this.isRefresh = true;
    const { core, store } = this.control;
    const looking = store.look(this.permitKey);
    const acquiring = this.acquire(0);
    try {
      const [look, permit] = await Promise.all([looking, acquiring]);
      if (look.state === 'fresh') return;
      const outcome = await this.lead(permit, this.first);
      if (outcome.isError) throw outcome.error;
      if (this.refusal !== undefined) throw this.refusal;
    } catch (error) {
      const isOthers = error instanceof PermitUnavailableError;
      const isOver = error instanceof SemaphoreClosedError;
      if (!isOthers && !isOver) core.refreshFailed(this.permitKey, error);
    } finally {
      release(acquiring);
    }
  }

  /** Another process published while this one stood in the queue. */
  published(token: number, payload: string | undefined): void {
    const isOver = this.hasLanded || this.isGranted;
    if (isOver || (this.seen !== undefined && token <= this.seen)) return;
    if (this.seen === undefined) this.early = [token, payload];
    else if (payload !== undefined) this.land(this.unpack(payload));
    else {
      this.control.store.look(this.permitKey, this.seen).then(
        (look) => {
          if (look.state !== 'none') this.land(this.unpack(look.payload));
        },
        // The place in the queue is asked for again, and with its grant what was missed.
        () => undefined,
      );
    }
  }

  /** The first result counts. */
  private land(outcome: Outcome): void {
    if (this.hasLanded) return;
    this.hasLanded = true;
    this.control.leave(this);
    for (const caller of this.callers) {
      const isRefused = this.refusal !== undefined && caller !== this.leader;
      caller.settle(isRefused ? { isError: true, error: this.refusal } : outcome);
    }
    // Callers go on with their result first: leaving the queue is in no hurry.
    setImmediate(() => this.leaveQueue());
  }

  private leaveQueue(): void {
    if (!this.isGranted) this.queueing.abort(LEFT);
    if (this.acquiring !== undefined) release(this.acquiring);
  }

  /** @returns undefined when it has landed meanwhile */
  private async getOutcome(): Promise<Outcome | undefined> {
    const { store } = this.control;
    const { ttlMs, staleWhileRevalidateMs, cacheErrorsMs } = this.options;
    if (ttlMs + staleWhileRevalidateMs + cacheErrorsMs > 0) {
      const stored = this.usable(await store.look(this.permitKey));
      if (stored !== undefined) return stored;
    }
    // One step: whoever publishes later than the look finds this process in the queue.
    const looking = store.look(this.permitKey);
    this.acquiring = this.acquire(Infinity);
    const look = await looking;
    const stored = this.usable(look);
    if (stored !== undefined) return stored;
    this.seen = look.token;
    if (this.early !== undefined) this.published(...this.early);
    const permit = await this.acquiring;
    if (this.hasLanded) return undefined;
    this.isGranted = true;
    const missed = permit.acquiredAt > look.at ? await this.missed(look.token) : undefined;
    return missed ?? (await this.lead(permit, this.callers.values().next().value));
  }

  /** A permit that came later may come from a leader whose publication was not heard. */
  private async missed(seen: number): Promise<Outcome | undefined> {
    const look = await this.control.store.look(this.permitKey, seen);
    const isNew = look.state === 'fresh' || look.state === 'missed';
    return isNew ? this.readable(look.payload) : undefined;
  }

  private usable(look: FlightLook): Outcome | undefined {
    const isStale = look.state === 'stale';
    const isRefused = isStale && this.options.staleWhileRevalidateMs === 0;
    if (look.state === 'none' || isRefused) return undefined;
    const outcome = this.readable(look.payload);
    if (outcome !== undefined && isStale && !look.isLed) {
      void new Flight(this.permitKey, this.first, this.control).refresh();
    }
    return outcome;
  }

  /** What another serializer has stored is as good as nothing: the work makes a result that can be read. */
  private readable(payload: string): Outcome | undefined {
    const outcome = this.unpack(payload);
    return outcome.isError && outcome.isUnreadable ? undefined : outcome;
  }

  private acquire(waitMs: number): Promise<Permit> {
    const { leaseMs } = this.options;
    const own = { waitMs, leaseMs, name: TELEMETRY_NAME };
    const acquiring = this.control.core.acquire(this.permitKey, {
      ...resolveOptions(own),
      signal: this.queueing,
    });
    acquiring.catch(() => undefined);
    return acquiring;
  }

  private async lead(permit: Permit, leader: FlightCaller | undefined): Promise<Outcome> {
    if (leader === undefined) return { isError: true, error: this.deserted() };
    this.leader = leader;
    this.isWorking = true;
    const stopWatching = whenLost(permit, (error) => {
      this.control.leave(this);
      this.working.abort(error);
    });
    const outcome = await leader.do(this.working.signal);
    stopWatching();
    this.isWorking = false;
    await this.publish(permit, outcome);
    return outcome;
  }

  /**
   * Resolves when the flight is over for the store too: who calls after a caller here has its result, in whatever process, shall
   * not get the same one. A permit that was lost is checked by the store: here the news may not have come yet.
   */
  private async publish(permit: Permit, outcome: Outcome): Promise<void> {
    const { core, store } = this.control;
    const { payload, refusal } = pack(this.first.key, outcome, this.options, store.maxResultBytes);
    this.refusal = refusal;
    // Whoever stands in the queue by now wants work that is not given up half-way.
    const isGivenUp = outcome.isError && this.work?.signal.aborted === true;
    if (!permit.isHeld || isGivenUp) return;
    const times = refusal === undefined ? this.times(outcome) : { freshMs: 0, staleMs: 0 };
    const substitute = TOO_LONG_FOR_THE_WAY;
    const publication = { permitId: permit.id, payload, substitute, ...times };
    const published = store.publish(this.permitKey, publication);
    void permit.release();
    // When that fails, somebody in the queue gets the permit and does the work again.
    await within(core.clock, PUBLISHED_WITHIN_MS, published, () => LATE).catch(() => undefined);
  }

  private times({ isError }: Outcome): { freshMs: number; staleMs: number } {
    const { ttlMs, staleWhileRevalidateMs, cacheErrorsMs, jitter } = this.options;
    // An error of a refresh does not take the place of a result.
    if (isError) return { freshMs: this.isRefresh ? 0 : cacheErrorsMs, staleMs: 0 };
    const freshMs = Math.round(ttlMs * (1 - jitter * Math.random()));
    return { freshMs, staleMs: ttlMs > 0 ? staleWhileRevalidateMs : 0 };
  }

  private async stopUnlessFollowed(): Promise<void> {
    this.isAskingForFollowers = this.isDeserted;
    if (!this.isDeserted) return;
    const look = await this.control.store.look(this.permitKey).catch(() => undefined);
    if (!this.isDeserted || look?.waiting !== 0) {
      const { clock } = this.control.core;
      clock.schedule(() => void this.stopUnlessFollowed(), ASK_FOR_FOLLOWERS_MS);
      return;
    }
    this.control.leave(this);
    this.working.abort(this.deserted());
    // Work that does not listen must not keep those waiting who come later.
    if (this.acquiring !== undefined) release(this.acquiring);
  }

  /** It works, and nobody here waits for it. */
  private get isDeserted(): boolean {
    return this.isWorking && this.callers.size === 0;
  }

  /** The store is away. */
  private async without(error: unknown): Promise<Outcome> {
    if (this.control.core.isClosed && error instanceof StoreUnavailableError) {
      return { isError: true, error: new SemaphoreClosedError(this.first.key) };
    }
    const leader = this.callers.values().next().value;
    const isAllowed = this.options.onStoreFailure === 'allow';
    if (!isAllowed || leader === undefined || !(error instanceof StoreUnavailableError)) {
      return { isError: true, error };
    }
    return leader.do(this.working.signal);
  }

  private get working(): AbortController {
    return (this.work ??= new AbortController());
  }

  private deserted(): Error {
    const detail = 'nobody waits for the result any more';
    return new SingleFlightAbortedError(this.first.key, undefined, detail);
  }

  private unpack(payload: string): Outcome {
    return unpack(this.first.key, payload, this.options.serializer);
  }
}
