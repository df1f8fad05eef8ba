import { whenLost } from '../core/held-permit.js';
import type { Permit } from '../core/permit.js';
import { type ResultNotSharedError, SingleFlightAbortedError } from '../semaphore.errors.js';
import { type Outcome, pack, TOO_LONG_FOR_THE_WAY } from './envelope.js';
import type { FlightControl } from './flight.js';
import type { FlightCaller } from './flight-caller.js';
import type { ResolvedFlightOptions } from './single-flight.options.js';

/** How often a leader whose callers have all gone asks whether other processes still wait. */
const ASK_FOR_FOLLOWERS_MS = 1000;

/** The result of a leader's callers is not kept from them for longer than this, because the store is slow, or away. */
const PUBLISHED_WITHIN_MS = 100;

interface LeadingWorkParts {
  readonly control: FlightControl;
  /** Of the semaphore whose holder leads. */
  readonly permitKey: string;
  readonly options: ResolvedFlightOptions;
  /** Somebody in this process waits for the result. */
  isWanted(): boolean;
  /** The work is told to stop: nobody may join it any more. */
  onStop(): void;
}

/** The work of a flight, done in this process, and what becomes of it: published, or given up when nobody wants it any more. */
export class LeadingWork {
  private readonly stopper = new AbortController();
  /** Why nobody but the caller that did the work gets its result. */
  refusal: ResultNotSharedError | undefined;
  /** Held, as far as is known, while the work goes on. */
  private permit: Permit | undefined;
  private isAsking = false;

  constructor(
    private readonly parts: LeadingWorkParts,
    readonly caller: FlightCaller,
  ) {}

  /** The store is away, and options allow the work without it: nobody else gets the result. Never rejects. */
  doAlone(): Promise<Outcome> {
    return this.caller.do(this.stopper.signal);
  }

  /**
   * Resolves when the flight is over for the store too: who calls after a caller here has its result, in whatever process, shall
   * not get the same one. Rejects only when the store throws instead of publishing.
   * @param permit that makes this process the leader; given back here
   */
  async lead(permit: Permit): Promise<Outcome> {
    const { key } = this.caller;
    const { options, control } = this.parts;
    this.permit = permit;
    const stopWatching = whenLost(permit, (error) => this.stop(error));
    const outcome = await this.caller.do(this.stopper.signal);
    stopWatching();
    this.permit = undefined;
    const { payload, refusal } = pack(key, outcome, options, control.store.maxResultBytes);
    this.refusal = refusal;
    // Whoever stands in the queue by now wants work that is not given up half-way.
    const isGivenUp = outcome.isError && this.stopper.signal.aborted;
    let published: Promise<void> | undefined;
    try {
      if (permit.isHeld && !isGivenUp) published = this.publish(permit.id, payload, outcome);
    } finally {
      // In the same turn as the publication: that is one step.
      void permit.release();
    }
    await published;
    return outcome;
  }

  /** Nobody in this process waits for it any more: it stops unless other processes do. */
  desert(): void {
    if (this.permit === undefined) this.stopDeserted();
    else if (!this.isAsking) void this.stopUnlessFollowed();
  }

  private async stopUnlessFollowed(): Promise<void> {
    const { control, permitKey } = this.parts;
    const { core, store } = control;
    this.isAsking = this.isDeserted;
    if (!this.isAsking) return;
    const look = await store.look(permitKey).catch(() => undefined);
    if (!this.isDeserted || look?.waiting !== 0) {
      core.clock.schedule(() => void this.stopUnlessFollowed(), ASK_FOR_FOLLOWERS_MS);
      return;
    }
    const { permit } = this;
    this.stopDeserted();
    // Work that does not listen must not keep those waiting who come later.
    void permit?.release();
  }

  private get isDeserted(): boolean {
    return this.permit !== undefined && !this.parts.isWanted();
  }

  private stopDeserted(): void {
    this.stop(desertedError(this.caller.key));
  }

  private stop(reason: Error): void {
    this.parts.onStop();
    this.stopper.abort(reason);
  }

  /** The store checks the permit: here the news that it was lost may not have come yet. Resolves in time. */
  private publish(permitId: string, payload: string, outcome: Outcome): Promise<void> {
    const { control, permitKey } = this.parts;
    const { core, store, limits } = control;
    const published = store.publish(permitKey, {
      permitId,
      payload,
      substitute: TOO_LONG_FOR_THE_WAY,
      ...this.times(outcome),
    });
    return new Promise((resolve) => {
      const limit = limits.start(core.clock.now() + PUBLISHED_WITHIN_MS, resolve);
      const settled = (): void => {
        limits.stop(limit);
        resolve();
      };
      // When that fails, somebody in the queue gets the permit and does the work again.
      published.then(settled, settled);
    });
  }

  /** For how long it is kept for those who come later. */
  private times({ isError }: Outcome): { freshMs: number; staleMs: number } {
    const { ttlMs, staleWhileRevalidateMs, cacheErrorsMs, jitter } = this.parts.options;
    if (this.refusal !== undefined) return { freshMs: 0, staleMs: 0 };
    if (isError) return { freshMs: cacheErrorsMs, staleMs: 0 };
    const freshMs = Math.round(ttlMs * (1 - jitter * Math.random()));
    return { freshMs, staleMs: ttlMs > 0 ? staleWhileRevalidateMs : 0 };
  }
}

/** Why work is told to stop, or is not begun, when no caller is left. */
export function desertedError(key: string): SingleFlightAbortedError {
  return new SingleFlightAbortedError(key, undefined, 'nobody waits for the result any more');
}
