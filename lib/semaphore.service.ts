import { Logger } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { acquireAll } from './core/acquire-all.js';
import { registerCore } from './core/core-of.js';
import { HeldContext } from './core/held-context.js';
import type { Permit } from './core/permit.js';
import { Reporter } from './core/reporter.js';
import { SemaphoreCore } from './core/semaphore-core.js';
import {
  InvalidOptionsError,
  PermitUnavailableError,
  SemaphoreClosedError,
} from './semaphore.errors.js';
import type { SemaphoreEvent } from './semaphore.events.js';
import {
  type AcquireOptions,
  resolveModuleOptions,
  resolveOptions,
  type ResolvedOptions,
  type SemaphoreModuleOptions,
  type SemaphoreOptions,
  validateKey,
  validatePermits,
} from './semaphore.options.js';
import { createStore } from './store/create-store.js';
import type { SemaphoreSnapshot, StoreSession } from './store/semaphore-store.js';

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

  /** What happens to the permits of this process, as it happens. Completes when the service is closed. */
  readonly events: Observable<SemaphoreEvent>;

  private readonly core: SemaphoreCore;
  private readonly context = new HeldContext();
  private resolvedDefaults: ResolvedOptions | undefined;

  /** @throws {InvalidOptionsError} */
  constructor(options: SemaphoreModuleOptions = {}) {
    const resolved = resolveModuleOptions(options);
    const store = createStore(resolved);
    const reporter = new Reporter(new Logger('Semaphore'), resolved.log, () =>
      store.clock.wallTime(),
    );
    this.defaults = Object.freeze({ ...resolved.defaults });
    this.events = reporter.events;
    this.core = new SemaphoreCore(store, resolved.storeTimeoutMs, reporter);
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
    try {
      return acquireAll(this.core, this.context, keysOf(key), this.resolve(options));
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
    const now = { ...this.resolve(options), waitMs: 0 };
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
   * Who holds and who waits now.
   * @throws {StoreUnavailableError}
   */
  async inspect(key: string): Promise<SemaphoreSnapshot> {
    validateKey(key);
    return this.session(key).inspect(key);
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
    if (typeof permitId !== 'string' || !PERMIT_ID.test(permitId)) {
      throw new InvalidOptionsError('permitId', permitId, `an id that matches ${PERMIT_ID}`, key);
    }
    return this.session(key).forceRelease(key, permitId);
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

  private resolve(options: AcquireOptions | undefined): ResolvedOptions {
    if (options !== undefined) return resolveOptions(this.defaults, options);
    return (this.resolvedDefaults ??= resolveOptions(this.defaults));
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

function requireFunction(name: string, value: unknown): void {
  if (typeof value !== 'function') throw new InvalidOptionsError(name, value, 'a function');
}
