import { setImmediate } from 'node:timers';
import { CancelSource } from '../cancel/cancel-source.js';
import type { Permit } from '../core/permit.js';
import type { SemaphoreCore } from '../core/semaphore-core.js';
import { SemaphoreClosedError, StoreUnavailableError } from '../semaphore.errors.js';
import type { FlightLook, SingleFlightStore } from '../store/single-flight-store.js';
import type { TimeLimits } from '../store/time-limits.js';
import { type Outcome, unpack } from './envelope.js';
import type { FlightCaller } from './flight-caller.js';
import { acquireLead, release } from './leading-permit.js';
import { desertedError, LeadingWork } from './leading-work.js';
import { refresh } from './refresh.js';
import type { ResolvedFlightOptions } from './single-flight.options.js';

/** What all flights of a process share. */
export interface FlightControl {
  readonly core: SemaphoreCore;
  readonly store: SingleFlightStore;
  /** Of publications. */
  readonly limits: TimeLimits;
  /** Nobody joins the flight any more. */
  leave(flight: Flight): void;
  /** It has a result, and needs no other. */
  landed(flight: Flight): void;
}

/** Stores count whole milliseconds. */
const ROUNDING_MS = 1;

// Made once: nobody gets to see it.
const LEFT = new Error('Nobody waits for the permit any more.');

/**
 * The callers of one key in this process, until they have a result: one that is stored, the one of another process that
 * leads, or the one of the work that they brought, when this process has got the permit.
 */
export class Flight {
  private readonly callers = new Set<FlightCaller>();
  private readonly options: ResolvedFlightOptions;
  /** By the local clock. */
  private readonly askedAt: number;
  private readonly queueing = new CancelSource();
  /** Until it leads. */
  private acquiring: Promise<Permit> | undefined;
  private isGranted = false;

  private work: LeadingWork | undefined;

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
    this.askedAt = control.core.clock.now();
  }

  join(caller: FlightCaller): void {
    this.callers.add(caller);
  }

  /** A caller has given up. */
  part(caller: FlightCaller): void {
    this.callers.delete(caller);
    if (this.callers.size > 0) return;
    if (this.work === undefined) this.desert();
    else this.work.desert();
  }

  /** Nobody joins, and nobody here waits for the permit. */
  private desert(): void {
    this.control.leave(this);
    this.queueing.abort(LEFT);
  }

  /** Gives its callers a result. */
  fly(): void {
    this.getOutcome().then(
      (outcome) => {
        if (outcome !== undefined) this.land(outcome);
      },
      (error: unknown) => this.failed(error),
    );
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
          if (isNew(look)) this.land(this.unpack(look.payload));
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
    this.control.landed(this);
    const refusal = this.work?.refusal;
    for (const caller of this.callers) {
      const isRefused = refusal !== undefined && caller !== this.work?.caller;
      caller.settle(isRefused ? { isError: true, error: refusal } : outcome);
    }
    const { acquiring } = this;
    // Callers go on with their result first: leaving the queue is in no hurry.
    if (acquiring !== undefined) setImmediate(() => this.leaveQueue(acquiring));
  }

  private leaveQueue(acquiring: Promise<Permit>): void {
    if (!this.isGranted) this.queueing.abort(LEFT);
    release(acquiring);
  }

  /** @returns undefined when it has landed meanwhile */
  private async getOutcome(): Promise<Outcome | undefined> {
    const { core, store } = this.control;
    const { ttlMs, staleWhileRevalidateMs, cacheErrorsMs, leaseMs } = this.options;
    if (ttlMs + staleWhileRevalidateMs + cacheErrorsMs > 0) {
      const look = await store.look(this.permitKey);
      const stored =
        this.usable(look) ?? (this.isLate(look) && (await this.missed(look.token - 1)));
      if (stored) return stored;
    }
    // One step: whoever publishes later than the look finds this process in the queue.
    const looking = store.look(this.permitKey);
    const options = { leaseMs, waitMs: Infinity, signal: this.queueing };
    this.acquiring = acquireLead(core, this.permitKey, options);
    const look = await looking;
    const stored = this.usable(look) ?? (this.isLate(look) && (await this.missed(look.token - 1)));
    if (stored) return stored;
    this.seen = look.token;
    if (this.early !== undefined) this.published(...this.early);
    const permit = await this.acquiring;
    if (this.hasLanded) return undefined;
    this.isGranted = true;
    const missed = permit.acquiredAt > look.at ? await this.missed(look.token) : undefined;
    return missed ?? this.lead(permit);
  }

  /** A permit that came later may come from a leader whose publication was not heard. */
  private async missed(seen: number): Promise<Outcome | undefined> {
    const look = await this.control.store.look(this.permitKey, seen);
    return isNew(look) ? this.readable(look.payload) : undefined;
  }

  /** Whoever asked before the work was over gets its result, also when the store hears of that later. */
  private isLate({ freshUntil }: FlightLook): boolean {
    return freshUntil > this.askedAt + ROUNDING_MS;
  }

  private usable(look: FlightLook): Outcome | undefined {
    const isStale = look.state === 'stale';
    const isRefused = isStale && this.options.staleWhileRevalidateMs === 0;
    if (look.state === 'none' || isRefused) return undefined;
    const outcome = this.readable(look.payload);
    if (outcome !== undefined && isStale && !look.isLed) {
      void refresh(this.permitKey, this.first, this.control);
    }
    return outcome;
  }

  /** What was stored, if it can be read: what another serializer wrote is as good as nothing, and the work makes it anew. */
  private readable(payload: string): Outcome | undefined {
    const outcome = this.unpack(payload);
    return outcome.isError && outcome.isUnreadable ? undefined : outcome;
  }

  private lead(permit: Permit): Outcome | Promise<Outcome> {
    const leader = this.nextCaller();
    if (leader === undefined) return { isError: true, error: desertedError(this.first.key) };
    this.acquiring = undefined;
    this.work = this.workOf(leader);
    return this.work.lead(permit);
  }

  private failed(error: unknown): void {
    if (this.hasLanded) return;
    const isAway = error instanceof StoreUnavailableError;
    if (isAway && this.control.core.isClosed) {
      this.land({ isError: true, error: new SemaphoreClosedError(this.first.key) });
      return;
    }
    const leader = this.nextCaller();
    const isAllowed = this.options.onStoreFailure === 'allow';
    if (!isAway || !isAllowed || leader === undefined) {
      this.land({ isError: true, error });
      return;
    }
    this.work = this.workOf(leader);
    void this.work.doAlone().then((outcome) => this.land(outcome));
  }

  private workOf(leader: FlightCaller): LeadingWork {
    const { control, permitKey, options } = this;
    return new LeadingWork(
      {
        control,
        permitKey,
        options,
        isWanted: () => this.callers.size > 0,
        onStop: () => this.desert(),
      },
      leader,
    );
  }

  private nextCaller(): FlightCaller | undefined {
    return this.callers.values().next().value;
  }

  private unpack(payload: string): Outcome {
    return unpack(this.first.key, payload, this.options.serializer);
  }
}

/** Whether a look found something newer than what it was told to have been seen: that may still be there, stale. */
function isNew({ state }: FlightLook): boolean {
  return state === 'fresh' || state === 'missed';
}
