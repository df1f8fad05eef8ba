import { type AsyncTwin, asyncTwin } from '../async-twin.js';
import { requireFunction, type Rule } from '../option-rules.js';
import { InvalidOptionsError } from '../semaphore.errors.js';
import type { SemaphoreService } from '../semaphore.service.js';
import { internalsOf } from '../service-internals.js';
import { callKey } from './argument-key.js';
import { LocalFlights } from './local-flights.js';
import {
  resolveFlightOptions,
  type RunOptions,
  validateFlightOptions,
  type WrapOptions,
} from './single-flight.options.js';

/** A function whose equal calls are one: the same, made async. */
export type Wrapped<This, Args extends unknown[], Result> = AsyncTwin<This, Args, Result>;

const NAME: Rule = { text: 'a string', holds: (value) => typeof value === 'string' };

/**
 * Of all processes that ask for the same thing at the same time, one does the work; all get its result, or its error.
 * Injected where `SemaphoreModule` is imported; without Nest, made from a SemaphoreService, and ended with it.
 *
 * Callers in one process get the same object: treat it as read-only. The others get a copy.
 * @example
 * const rate = await flights.run(`rate:${pair}`, () => fetchRate(pair), { ttlMs: 5000 });
 */
export class SingleFlightService {
  /** @param semaphores whose store it uses; the single flights end when that is closed */
  constructor(private readonly semaphores: SemaphoreService) {}

  /**
   * The result of `work`: of this call's, or of another's with the same key that is under way, here or in another
   * process, or that was done less than `ttlMs` ago.
   * @param work its signal is aborted when its process may not be the leader any more, or when nobody waits for the result
   * @throws what `work` throws, wherever it ran
   * @throws {SingleFlightTimeoutError} no result came within `timeoutMs`
   * @throws {SingleFlightAbortedError} the `signal` was aborted
   * @throws {ResultNotSharedError} the work was done for another caller, and its result cannot be serialized or is too large
   * @throws {StoreUnavailableError} the store did not answer, and `onStoreFailure` is 'reject'
   * @throws {SemaphoreClosedError} the service shuts down
   * @throws {InvalidOptionsError}
   */
  run<T>(
    key: string,
    work: (signal: AbortSignal) => T | PromiseLike<T>,
    options?: RunOptions,
  ): Promise<T> {
    try {
      requireFunction('work', work);
      return this.flights.run(key, work, resolveFlightOptions(options)) as Promise<T>;
    } catch (error) {
      const isOption = error instanceof InvalidOptionsError;
      return Promise.reject(isOption ? error.of(key, 'Single flight') : error);
    }
  }

  /**
   * A function that does what `fn` does, equal calls at the same time as one. Keeps name, length and `this`.
   * Calls are equal when their arguments are: see {@link keyOf}. Those without arguments are equal to {@link run} of the key.
   * @param fn written in place, its parameters need types, those with a default too: `(id: string, limit: number = 10) => …`
   * @throws {InvalidOptionsError} an option is wrong, or `fn` has no name, and there is no `key`; each call of the result rejects
   *   as {@link run}
   */
  wrap<This, Args extends unknown[], Result>(
    fn: (this: This, ...args: Args) => Result,
    options: WrapOptions = {},
  ): Wrapped<This, Args, Result> {
    requireFunction('fn', fn);
    validateFlightOptions(options, NAME);
    const { key: name = fn.name, ...rest } = options;
    if (name === '') {
      throw new InvalidOptionsError('key', name, 'given, for a function without a name');
    }
    return asyncTwin(fn, async (work, args): Promise<Awaited<Result>> =>
      this.run(this.keyOf(name, ...args), work, rest),
    );
  }

  /**
   * Drops what is stored of a key. A run that is under way is not stored, and whoever calls afterwards does not join it
   * (in another process: unless its own callers have joined it before).
   * @throws {StoreUnavailableError} the store did not answer
   * @throws {SemaphoreClosedError} the service was closed
   * @throws {InvalidOptionsError}
   */
  async forget(key: string): Promise<void> {
    await this.flights.forget(key);
  }

  /**
   * The key of a wrapped function's, or a decorated method's, call with these arguments, for {@link forget}; without any it is
   * the plain name.
   * @throws {InvalidOptionsError} for an argument that cannot be compared: functions, symbols, instances of classes, cycles
   * @example await flights.forget(flights.keyOf('RatesService.rateOf', 'EUR'));
   */
  keyOf(name: string, ...args: unknown[]): string {
    return callKey(name, args);
  }

  /** @throws {InvalidOptionsError} the store cannot do it, or the service is none of ours */
  private get flights(): LocalFlights {
    return LocalFlights.of(internalsOf(this.semaphores).core);
  }
}
