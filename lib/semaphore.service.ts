import { Logger } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { type AsyncTwin, asyncTwin } from './async-twin.js';
import { EventLog } from './core/event-log.js';
import { healthOf } from './core/health.js';
import type { Permit } from './core/permit.js';
import { Reporter } from './core/reporter.js';
import { Scope } from './core/scope.js';
import { SemaphoreCore } from './core/semaphore-core.js';
import { runUntilOver } from './completion/until-over.js';
import { requireTask } from './option-rules.js';
import { OptionsMemo } from './options-memo.js';
import { InvalidOptionsError, PermitUnavailableError, ScopeError } from './semaphore.errors.js';
import type { SemaphoreEvent } from './semaphore.events.js';
import { resolveLog } from './resolve-log.js';
import { resolveModuleOptions } from './resolve-module-options.js';
import {
  validateKey,
  validatePermitId,
  validatePermits,
  validateTimeout,
} from './resolve-options.js';
import type {
  LogLevel,
  LogOptions,
  SemaphoreDefaults,
  SemaphoreModuleOptions,
  SemaphoreOptions,
  StatusCodes,
} from './semaphore.options.js';
import { ServiceInternals, shownToCaller } from './service-internals.js';
import { createStore } from './store/create-store.js';
import {
  type SemaphoreSnapshot,
  type SemaphoreStore,
  type StoreHealth,
  withoutStoreFacts,
} from './store/semaphore-store.js';
import { startTelemetry } from './telemetry/telemetry.js';

/** A method that runs under a permit: it waits for one first. */
export type Bound<This, Args extends unknown[], Result> = AsyncTwin<This, Args, Result>;

/**
 * Semaphores by key. Injected where `SemaphoreModule` is imported; without Nest, made with `new` and ended by {@link close}.
 * @example
 * const semaphores = new SemaphoreService({ redis: 'redis://localhost' });
 * await semaphores.withPermit('reports', () => createReport(), { permits: 3 });
 */
export class SemaphoreService {
  /** What every semaphore does that says nothing else. */
  readonly defaults: SemaphoreDefaults;

  /** HTTP status codes of the errors. */
  readonly statusCodes: Readonly<Required<StatusCodes>>;

  /** What happens to the permits of this process, as it happens. Completes when the service is closed. */
  readonly events: Observable<SemaphoreEvent>;

  /** Where the semaphores live. */
  readonly store: SemaphoreStore;

  private readonly log: EventLog;
  private readonly internals: ServiceInternals;

  /** @throws {InvalidOptionsError} */
  constructor(options: SemaphoreModuleOptions = {}) {
    const resolved = resolveModuleOptions(options);
    const store = createStore(resolved);
    this.store = store;
    this.log = new EventLog(new Logger('Semaphore'), resolved.log);
    const reporter = new Reporter(this.log, store.clock);
    this.defaults = Object.freeze({ ...resolved.defaults });
    this.statusCodes = Object.freeze(resolved.statusCodes);
    this.events = reporter.events;
    const probes = resolved.telemetry ? startTelemetry(store.clock) : undefined;
    const { storeTimeoutMs } = resolved;
    const core = new SemaphoreCore({ store, storeTimeoutMs, reporter, probes });
    this.internals = new ServiceInternals(core, new OptionsMemo(this.defaults));
  }

  /**
   * Takes a permit; of several keys one each, all or none. Waits for it `waitMs` at most.
   * @throws {PermitUnavailableError} none was free, or none became free in time
   * @throws {AcquireAbortedError} the `signal` was aborted
   * @throws {PermitLostError} the waiter was sent away by force, or one of several keys was lost while the others were waited for
   * @throws {StoreUnavailableError} the store did not answer, and `onStoreFailure` is 'reject'
   * @throws {SemaphoreClosedError} the service shuts down
   * @throws {InvalidOptionsError}
   * @example await using permit = await semaphores.acquire('reports');
   */
  acquire(key: string | readonly string[], options?: SemaphoreOptions): Promise<Permit> {
    return this.internals.acquire(key, options);
  }

  /**
   * Takes a permit that is free now. Never waits, and never takes one before somebody who does: with a `priority` above
   * that of all who wait it comes before them, as an acquisition would.
   * @returns null when none is free
   * @throws as {@link acquire}
   */
  async tryAcquire(
    key: string | readonly string[],
    options?: SemaphoreOptions,
  ): Promise<Permit | null> {
    const now = { ...this.internals.resolve(options, key), waitMs: 0 };
    try {
      return await this.internals.acquireResolved(key, now);
    } catch (error) {
      if (error instanceof PermitUnavailableError && error.reason === 'busy') return null;
      throw error;
    }
  }

  /**
   * Runs the task under a permit, and releases it when its work is over: its promise settled, and the Observable, async
   * iterator or stream that it gave, if it is one, was read to its end, or left (`unsubscribe`, `return`, `destroy`). Until
   * then, and also when nobody ever reads it, the permit is held. The task's result or error passes through. An Observable
   * that nobody is subscribed to any more cannot be begun again: it fails with {@link PermitLostError}.
   * @throws as {@link acquire}, before the task runs
   */
  async withPermit<T>(
    key: string | readonly string[],
    task: (permit: Permit) => T | PromiseLike<T>,
    options?: SemaphoreOptions,
  ): Promise<T> {
    requireTask('task', task, key);
    let permit: Permit;
    try {
      permit = await this.acquire(key, options);
    } catch (error) {
      throw shownToCaller(error);
    }
    return this.internals.runUnder(permit, task);
  }

  /**
   * A function that does what `fn` does, each call under a permit of its own, as {@link withPermit} holds it: that of an
   * async generator until it was read. Keeps name, length and `this`.
   * @throws {InvalidOptionsError} `fn` is no function, or a generator that is not async; each call of the result rejects as {@link acquire}
   */
  bind<This, Args extends unknown[], Result>(
    key: string | readonly string[],
    fn: (this: This, ...args: Args) => Result,
    options?: SemaphoreOptions,
  ): Bound<This, Args, Result> {
    requireTask('fn', fn, key);
    return asyncTwin(fn, (work) => this.withPermit(key, work, options));
  }

  /**
   * Runs a task in a scope: {@link use} in it takes each key once, and when the task is over everything is released,
   * waits that are still going on are given up. The task's result or error passes through; it is over as one of
   * {@link withPermit} is; an Observable of it that is begun again fails with {@link ScopeError}.
   *
   * A scope within another one is a scope of its own, with permits of its own.
   * @throws {InvalidOptionsError} the task is no function, or a generator that is not async
   * @example
   * await semaphores.scope(async () => {
   *   await semaphores.use('printer'); // anywhere in what the task calls, and as often as it likes
   * });
   */
  async scope<T>(task: () => T | PromiseLike<T>): Promise<T> {
    requireTask('task', task);
    const scope = new Scope(this.internals);
    return runUntilOver(
      (part) => scope.run(part),
      task,
      () => scope.end(),
      () => new ScopeError('ended'),
    );
  }

  /**
   * The permit of the key that the running scope holds, taken now if it holds none; released when the scope ends. There is a
   * scope in the task of {@link scope}, in handlers with `@Semaphore()` or behind `SemaphoreInterceptor`, and behind
   * `semaphoreMiddleware`: a decorated handler's scope has the handler's permit, and what a middleware's scope around it
   * holds. Under {@link withPermit} of the key, or a decorated method of it, this gives the permit that is held there, also
   * without a scope: whoever holds it releases it.
   *
   * Who asks while the key is being acquired waits for the same permit: the options of the first count, except `signal`,
   * which is of each caller.
   * @throws {ScopeError} there is no scope, or it has ended, and no permit of the key that the task runs under
   * @throws {AcquireAbortedError} the scope ended first, or the `signal` was aborted
   * @throws as {@link acquire}
   */
  use(key: string, options?: SemaphoreOptions): Promise<Permit> {
    try {
      validateKey(key);
      return this.internals.use(key, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Who holds and who waits now.
   * @throws {StoreUnavailableError} the store did not answer
   * @throws {SemaphoreClosedError} the service was closed
   * @throws {InvalidOptionsError}
   */
  async inspect(key: string): Promise<SemaphoreSnapshot> {
    return withoutStoreFacts(await this.internals.look(key));
  }

  /**
   * Asks the store for a sign of life, and waits for it `timeoutMs` (default 1000) at most. A store that does not answer is
   * told by the result.
   * @throws {SemaphoreClosedError}
   * @throws {InvalidOptionsError}
   */
  async health(timeoutMs = 1000): Promise<StoreHealth> {
    validateTimeout(timeoutMs);
    const { internals } = this;
    return healthOf(internals.session(), internals.core.clock, timeoutMs);
  }

  /**
   * Keys that have holders or waiters now.
   * @param pattern a glob with `*`, `?` and `[ab]`; all keys, when it is left out
   * @throws as {@link inspect}, when it is read
   */
  async *list(pattern = '*'): AsyncGenerator<string, void, undefined> {
    if (typeof pattern !== 'string' || pattern === '') {
      throw new InvalidOptionsError('pattern', pattern, 'a non-empty string');
    }
    yield* this.internals.session().list(pattern);
  }

  /**
   * Sets the limit, whatever `permits` callers pass, until it is cleared with null. Held permits stay.
   * @throws as {@link inspect}
   */
  async setPermits(key: string, permits: number | null): Promise<void> {
    validateKey(key);
    validatePermits(permits, key);
    await this.internals.session(key).setPermits(key, permits);
  }

  /**
   * Takes a permit from its holder, whose `signal` is aborted, or sends a waiter away.
   * @returns false when nobody holds or waits under this id
   * @throws as {@link inspect}
   */
  async forceRelease(key: string, permitId: string): Promise<boolean> {
    validateKey(key);
    validatePermitId(permitId, key);
    return this.internals.session(key).forceRelease(key, permitId);
  }

  /**
   * Logs this from now on, whatever the module's `log` says.
   * @throws {InvalidOptionsError}
   */
  setLog(log: LogLevel | LogOptions): void {
    this.log.set(resolveLog(log));
  }

  /**
   * The first step of shutting down: no new acquisitions, and who waits gets SemaphoreClosedError.
   * @returns whether anybody waited
   */
  beginClose(): boolean {
    return this.internals.core.beginClose();
  }

  /**
   * Shuts down: as {@link beginClose}, then gives back what was released, and closes the connections that the
   * service opened. Permits that are still held end with their leases.
   */
  close(): Promise<void> {
    return this.internals.core.close();
  }
}
