import { ChurningMap } from '../churning-map.js';
import type { SemaphoreCore } from '../core/semaphore-core.js';
import {
  InvalidOptionsError,
  SemaphoreClosedError,
  SingleFlightAbortedError,
} from '../semaphore.errors.js';
import type { SingleFlightStore } from '../store/single-flight-store.js';
import { TimeLimits } from '../store/time-limits.js';
import { Flight, type FlightControl } from './flight.js';
import { FlightCaller, type Work } from './flight-caller.js';
import { permitKeyOf } from './flight-keys.js';
import type { ResolvedFlightOptions } from './single-flight.options.js';
import { isWithin, Surrounding } from './surrounding-flights.js';

const NOT_ITS_OWN =
  'another one than that of the flight whose work asks for it: it would wait for itself for ever';

const byCore = new WeakMap<SemaphoreCore, LocalFlights>();

/** The flights of this process: whoever asks for what is being worked on joins, and the store hears nothing of it. */
export class LocalFlights implements FlightControl {
  readonly store: SingleFlightStore;
  readonly limits: TimeLimits;
  /** To be joined, by the key of the permit. */
  private readonly joinable = new ChurningMap<string, Flight>();
  /** Those without a result, by the key of the permit: after `forget` there may be several. */
  private readonly underWay = new ChurningMap<string, Set<Flight>>();

  private constructor(readonly core: SemaphoreCore) {
    const { flights } = core.session;
    if (flights === undefined) {
      throw new InvalidOptionsError(
        'store',
        core.session,
        'one that can do single flight (with `StoreSession.flights`), as those of this package can',
      );
    }
    this.store = flights;
    this.limits = new TimeLimits(core.clock);
    flights.listen(
      (permitKey, token, payload) => {
        for (const flight of this.underWay.get(permitKey) ?? []) flight.published(token, payload);
      },
      (permitKey) => this.joinable.delete(permitKey),
    );
  }

  /** All services of one process and store share them. @throws {InvalidOptionsError} */
  static of(core: SemaphoreCore): LocalFlights {
    const known = byCore.get(core);
    if (known !== undefined) return known;
    const created = new LocalFlights(core);
    byCore.set(core, created);
    return created;
  }

  run(key: string, work: Work, options: ResolvedFlightOptions): Promise<unknown> {
    const permitKey = permitKeyOf(key);
    const { signal } = options;
    if (this.core.isClosed) throw new SemaphoreClosedError(key);
    if (signal?.aborted === true) throw new SingleFlightAbortedError(key, signal.reason);
    if (isWithin(this, permitKey)) throw new InvalidOptionsError('key', key, NOT_ITS_OWN, key);
    const caller = new FlightCaller(key, work, options, new Surrounding(this, permitKey));
    const joined = this.joinable.get(permitKey);
    const flight = joined ?? new Flight(permitKey, caller, this);
    if (joined !== undefined) caller.keepContext();
    flight.join(caller);
    caller.wait(this.core.clock, () => flight.part(caller));
    if (joined === undefined) this.start(flight);
    return caller.result;
  }

  async forget(key: string): Promise<void> {
    const permitKey = permitKeyOf(key);
    if (this.core.isClosed) throw new SemaphoreClosedError(key);
    this.joinable.delete(permitKey);
    await this.store.forget(permitKey);
  }

  leave(flight: Flight): void {
    const { permitKey } = flight;
    if (this.joinable.get(permitKey) === flight) this.joinable.delete(permitKey);
  }

  landed(flight: Flight): void {
    const { permitKey } = flight;
    this.leave(flight);
    const flights = this.underWay.get(permitKey);
    if (flights?.delete(flight) === true && flights.size === 0) this.underWay.delete(permitKey);
  }

  private start(flight: Flight): void {
    const { permitKey } = flight;
    this.joinable.set(permitKey, flight);
    const flights = this.underWay.get(permitKey);
    if (flights === undefined) this.underWay.set(permitKey, new Set([flight]));
    else flights.add(flight);
    flight.fly();
  }
}
