import { Logger } from '@nestjs/common';
import type { Observable } from 'rxjs';
import type { CancelSignal } from './core/abandonment.js';
import { acquireAll } from './core/acquire-all.js';
import { registerCore } from './core/core-of.js';
import { EventLog } from './core/event-log.js';
import { healthOf } from './core/health.js';
import { HeldContext } from './core/held-context.js';
import type { Permit } from './core/permit.js';
import { Reporter } from './core/reporter.js';
import { Scope, type ScopeHost, type ScopeSemaphore } from './core/scope.js';
import { SemaphoreCore } from './core/semaphore-core.js';
import { OptionsMemo } from './options-memo.js';
import { PermitsById } from './permits-by-id.js';
import {
  InvalidOptionsError,
  PermitUnavailableError,
  ScopeError,
  SemaphoreClosedError,
} from './semaphore.errors.js';
import type { SemaphoreEvent } from './semaphore.events.js';
import {
  resolveLog,
  resolveModuleOptions,
  validateKey,
  validatePermits,
  validateTimeout,
} from './resolve-options.js';
import type {
  AcquireOptions,
  LogLevel,
  LogOptions,
  SemaphoreModuleOptions,
  SemaphoreOptions,
  StatusCodes,
} from './semaphore.options.js';
import { createStore } from './store/create-store.js';
import {
  type SemaphoreSnapshot,
  type SemaphoreStore,
  type StoreHealth,
  type StoreSession,
  type StoreSnapshot,
  withoutStoreFacts,
} from './store/semaphore-store.js';
import { startTelemetry } from './telemetry/telemetry.js';

const PERMIT_ID = /^[\w-]{1,64}$/;

/** A method that runs under a permit: it waits for one first. */
export type Bound<This, Args extends unknown[], Result> = (
  this: This,
  ...args: Args
) => Promise<Awaited<Result>>;

/**
 * Semaphores by key. Injected where `SemaphoreModule` is imported; without Nest, made with `new` and ended by {@link close}.
 * @example
 * const semaphores = new SemaphoreService({ redis: 'redis://localhost' });
 * await semaphores.withPermit('reports', () => createReport(), { permits: 3 });
 */
export class SemaphoreService {
  /** What every semaphore does that says nothing else. */
  readonly defaults: SemaphoreOptions;

  /** HTTP status codes of the errors. */
  readonly statusCodes: Readonly<Required<StatusCodes>>;

  /** What happens to the permits of this process, as it happens. Completes when the service is closed. */
  readonly events: Observable<SemaphoreEvent>;

  /** For servers that acquire on behalf of somebody else. @internal */
  readonly permitsById: PermitsById;

  /** Where the semaphores live. */
  readonly store: SemaphoreStore;

  private readonly log: EventLog;
  private readonly core: SemaphoreCore;
  private readonly context = new HeldContext();
  private readonly scopeHost: ScopeHost = {
    context: this.context,
    resolve: (options) => this.memo.resolve(options),
    acquire: (key, options) => acquireAll(this.core, this.context, [key], options),
  };
  private readonly memo: OptionsMemo;

  /** @throws {InvalidOptionsError} */
  constructor(options: SemaphoreModuleOptions = {}) {
    const resolved = resolveModuleOptions(options);
    const store = createStore(resolved);
    this.store = store;
    this.log = new EventLog(new Logger('Semaphore'), resolveLog(resolved.log));
    const reporter = new Reporter(this.log, store.clock);
    this.defaults = Object.freeze({ ...resolved.defaults });
    this.memo = new OptionsMemo(this.defaults);
    this.statusCodes = Object.freeze(resolved.statusCodes);
    this.events = reporter.events;
    const startProbe = resolved.telemetry ? startTelemetry(store.clock) : undefined;
    this.core = new SemaphoreCore(store, resolved.storeTimeoutMs, reporter, startProbe);
    this.permitsById = new PermitsById({
      unkept: this.core.unkept,
      resolve: (options) => this.memo.resolve(options),
      isClosed: () => this.core.isClosed,
    });
    registerCore(this, this.core);
  }

  /**
   * Takes a permit; of several keys one each, all or none. Waits for it `waitMs` at most.
   * @throws {PermitUnavailableError} none was free, or none became free in time
   * @throws {AcquireAbortedError} the `signal` was aborted
   * @throws {StoreUnavailableError} the store did not answer, and `onStoreFailure` is 'reject'
   * @throws {SemaphoreClosedError} the service shuts down
   * @throws {InvalidOptionsError}
   * @example await using permit = await semaphores.acquire('reports');
   */
  acquire(key: string | readonly string[], options?: AcquireOptions): Promise<Permit> {
    return this.acquireUntil(key, options);
  }

  /** As {@link acquire}, for callers with a signal that is none of the platform's. @internal */
  acquireUntil(
    key: string | readonly string[],
    options: AcquireOptions | undefined,
    signal?: CancelSignal,
  ): Promise<Permit> {
    try {
      const resolved = this.memo.resolve(options);
      const own = signal === undefined ? resolved : { ...resolved, signal };
      return acquireAll(this.core, this.context, keysOf(key), own);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Takes a permit that is free now. Never waits, and never takes one before somebody who does.
   * @returns null when none is free
   * @throws as {@link acquire}
   */
  async tryAcquire(
    key: string | readonly string[],
    options?: AcquireOptions,
  ): Promise<Permit | null> {
    const now = { ...this.memo.resolve(options), waitMs: 0 };
    try {
      return await acquireAll(this.core, this.context, keysOf(key), now);
    } catch (error) {
      if (error instanceof PermitUnavailableError && error.reason === 'busy') return null;
      throw error;
    }
  }

  /**
   * Runs the task under a permit, and releases it when the task is over. The task's result or error passes through.
   * @throws as {@link acquire}, before the task runs
   */
  async withPermit<T>(
    key: string | readonly string[],
    task: (permit: Permit) => T | Promise<T>,
    options?: AcquireOptions,
  ): Promise<T> {
    requireFunction('task', task);
    return this.runUnder(await this.acquire(key, options), task);
  }

  /** The second half of {@link withPermit}, for a permit that was acquired before: SemaphoreGuard does that. */
  async runUnder<T>(permit: Permit, task: (permit: Permit) => T | Promise<T>): Promise<T> {
    try {
      return await this.context.run(permit, () => task(permit));
    } finally {
      await permit.release();
    }
  }

  /** A function that does what `fn` does, each call under a permit of its own. Keeps name, length and `this`. */
  bind<This, Args extends unknown[], Result>(
    key: string | readonly string[],
    fn: (this: This, ...args: Args) => Result,
    options?: AcquireOptions,
  ): Bound<This, Args, Result> {
    requireFunction('fn', fn);
    const call = (self: This, args: Args): Promise<Awaited<Result>> =>
      this.withPermit(
        key,
        async (): Promise<Awaited<Result>> => await fn.apply(self, args),
        options,
      );
    const bound: Bound<This, Args, Result> = function (...args) {
      return call(this, args);
    };
    Object.defineProperty(bound, 'name', { value: fn.name, configurable: true });
    Object.defineProperty(bound, 'length', { value: fn.length, configurable: true });
    return bound;
  }

  /**
   * Runs a task in a scope: {@link use} in it takes each key once, and when the task is over everything is released,
   * waits that are still going on are given up. The task's result or error passes through.
   *
   * A scope within another one is a scope of its own, with permits of its own.
   * @example
   * await semaphores.scope(async () => {
   *   await semaphores.use('printer'); // anywhere in what the task calls, and as often as it likes
   * });
   */
  async scope<T>(task: () => T | Promise<T>): Promise<T> {
    requireFunction('task', task);
    const scope = new Scope(this.scopeHost);
    try {
      return await scope.run(task);
    } finally {
      await scope.end();
    }
  }

  /**
   * The permit of the key that the running scope holds, taken now if it holds none; released when the scope ends. There is a
   * scope in the task of {@link scope}, in handlers with `@Semaphore()`, and behind `semaphoreMiddleware`: a decorated handler's
   * scope has the handler's permit, and what a middleware's scope around it holds.
   *
   * Who asks while the key is being acquired waits for the same permit: the options of the first count, except `signal`,
   * which is of each caller.
   * @throws {ScopeError} there is no scope, or it has ended
   * @throws {AcquireAbortedError} the scope ended first, or the `signal` was aborted
   * @throws as {@link acquire}
   */
  use(key: string, options?: AcquireOptions): Promise<Permit> {
    try {
      validateKey(key);
      const { scope } = this.context;
      if (scope === undefined) throw new ScopeError('none', key);
      return scope.use(key, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * A scope that lasts until its opener ends it, and is a part of the scope around it: semaphoreMiddleware and
   * SemaphoreInterceptor do that.
   */
  openScope(semaphore?: ScopeSemaphore): Scope {
    const around = this.context.scope;
    return new Scope(this.scopeHost, around?.isOver === true ? undefined : around, semaphore);
  }

  /**
   * Who holds and who waits now.
   * @throws {StoreUnavailableError}
   */
  async inspect(key: string): Promise<SemaphoreSnapshot> {
    return withoutStoreFacts(await this.look(key));
  }

  /** As {@link inspect}, with what only the store knows: for those who show it. @internal */
  async look(key: string): Promise<StoreSnapshot> {
    validateKey(key);
    return this.session(key).inspect(key);
  }

  /**
   * Asks the store for a sign of life, and waits for it `timeoutMs` at most.
   * @throws {SemaphoreClosedError}
   * @throws {InvalidOptionsError}
   */
  async health(timeoutMs = 1000): Promise<StoreHealth> {
    validateTimeout(timeoutMs);
    return healthOf(this.session(), this.core.clock, timeoutMs);
  }

  /** Keys that have holders or waiters now. @param pattern a glob with `*`, `?` and `[ab]` */
  async *list(pattern = '*'): AsyncGenerator<string, void, undefined> {
    if (typeof pattern !== 'string' || pattern === '') {
      throw new InvalidOptionsError('pattern', pattern, 'a non-empty string');
    }
    yield* this.session().list(pattern);
  }

  /**
   * Sets the limit, whatever `permits` callers pass, until it is cleared with null. Held permits stay.
   * @throws {StoreUnavailableError}
   */
  async setPermits(key: string, permits: number | null): Promise<void> {
    validateKey(key);
    validatePermits(permits, key);
    await this.session(key).setPermits(key, permits);
  }

  /**
   * Takes a permit from its holder, whose `signal` is aborted, or sends a waiter away.
   * @returns false when nobody holds or waits under this id
   * @throws {StoreUnavailableError}
   */
  async forceRelease(key: string, permitId: string): Promise<boolean> {
    validateKey(key);
    validatePermitId(permitId, key);
    return this.session(key).forceRelease(key, permitId);
  }

  /**
   * Sends a waiter away, and leaves it its permit when it has become a holder meanwhile.
   * @returns false when nobody waits under this id
   * @internal
   */
  async dropWaiter(key: string, id: string): Promise<boolean> {
    validateKey(key);
    validatePermitId(id, key);
    return this.session(key).forceRelease(key, id, true);
  }

  /**
   * Logs this from now on, whatever the module's `log` says.
   * @throws {InvalidOptionsError}
   */
  setLog(log: LogLevel | LogOptions): void {
    this.log.set(resolveLog(log));
  }

  /** The first step of shutting down: no new acquisitions, and who waits gets SemaphoreClosedError. */
  beginClose(): void {
    this.core.beginClose();
  }

  /**
   * Shuts down: as {@link beginClose}, then gives back what was released, and closes the connections that the
   * service opened. Permits that are still held end with their leases.
   */
  close(): Promise<void> {
    return this.core.close();
  }

  private session(key?: string): StoreSession {
    if (this.core.isClosed) throw new SemaphoreClosedError(key);
    return this.core.session;
  }
}

/** Without those asked for twice. */
function keysOf(key: string | readonly string[]): readonly [string, ...string[]] {
  if (typeof key === 'string' || !Array.isArray(key)) {
    validateKey(key);
    return [key];
  }
  const [first, ...others] = new Set<string>(key);
  if (first === undefined) {
    throw new InvalidOptionsError('key', key, 'a key, or an array of at least one');
  }
  const keys: [string, ...string[]] = [first, ...others];
  keys.forEach(validateKey);
  return keys;
}

function validatePermitId(id: unknown, key: string): void {
  if (typeof id === 'string' && PERMIT_ID.test(id)) return;
  throw new InvalidOptionsError('permitId', id, `an id that matches ${PERMIT_ID}`, key);
}

function requireFunction(name: string, value: unknown): void {
  if (typeof value !== 'function') throw new InvalidOptionsError(name, value, 'a function');
}
