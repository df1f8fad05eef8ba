import { acquireAll } from './core/acquire-all.js';
import { borrowForUse } from './core/borrowed-permit.js';
import { HeldContext } from './core/held-context.js';
import type { Permit } from './core/permit.js';
import { asUnkept, type PermitsById } from './core/permits-by-id.js';
import { Scope, type ScopeHost, type ScopeSemaphore } from './core/scope.js';
import type { SemaphoreCore } from './core/semaphore-core.js';
import { runUntilOver } from './completion/until-over.js';
import type { OptionsMemo } from './options-memo.js';
import { type ResolvedOptions, validateKey, validatePermitId } from './resolve-options.js';
import {
  InvalidOptionsError,
  PermitLostError,
  PermitUnavailableError,
  ScopeError,
  SemaphoreClosedError,
} from './semaphore.errors.js';
import type { CancelSignal } from './cancel/cancel-signal.js';
import type { SemaphoreOptions } from './semaphore.options.js';
import type { SemaphoreService } from './semaphore.service.js';
import type { StoreSession, StoreSnapshot } from './store/semaphore-store.js';

/** What is behind a SemaphoreService: for itself, and for what is built on it in this package. */
export class ServiceInternals implements ScopeHost {
  /** Mocks that answer to every property have something else here. */
  readonly areReal = true;
  readonly context = new HeldContext();

  constructor(
    readonly core: SemaphoreCore,
    private readonly memo: OptionsMemo,
  ) {}

  /** For servers that acquire on behalf of somebody else, with options of {@link resolveUnkept}. */
  get permitsById(): PermitsById {
    return this.core.permitsById;
  }

  /** @throws {InvalidOptionsError} */
  resolveUnkept(options: SemaphoreOptions): ResolvedOptions {
    return asUnkept(this.memo.resolve(options));
  }

  /** @throws {InvalidOptionsError} */
  resolve(options: SemaphoreOptions | undefined, key: string | readonly string[]): ResolvedOptions {
    return this.memo.resolve(options, key);
  }

  /**
   * See `SemaphoreService.acquire`.
   * @param signal one that may be none of the platform's, in place of that of the options
   */
  acquire(
    key: string | readonly string[],
    options: SemaphoreOptions | undefined,
    signal?: CancelSignal,
  ): Promise<Permit> {
    try {
      const resolved = this.memo.resolve(options, key);
      return this.acquireResolved(key, signal === undefined ? resolved : { ...resolved, signal });
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** As {@link acquire}, with options of {@link resolve}. @throws {InvalidOptionsError} at once, for the key */
  acquireResolved(key: string | readonly string[], options: ResolvedOptions): Promise<Permit> {
    return acquireAll(this.core, this.context, keysOf(key), options);
  }

  /** Runs the task under a permit that was acquired for it, and releases it when its work is over. */
  runUnder<T>(permit: Permit, task: (permit: Permit) => T | PromiseLike<T>): Promise<T> {
    return runUntilOver(
      (part) => this.context.run(permit, part),
      () => task(permit),
      () => permit.release(),
      () => new PermitLostError(permit.key, permit.id, 'released'),
    );
  }

  /**
   * See `SemaphoreService.use`.
   * @throws {ScopeError} at once; so are {InvalidOptionsError}
   */
  use(key: string, options: SemaphoreOptions | undefined): Promise<Permit> {
    const { scope } = this.context;
    if (scope?.isOver === false) return scope.use(key, options);
    const resolved = this.resolve(options, key);
    const ofTask = this.context.findOfTask(key);
    if (ofTask === undefined) throw new ScopeError(scope === undefined ? 'none' : 'ended', key);
    return borrowForUse(ofTask, resolved);
  }

  /** A scope that lasts until its opener ends it, and is a part of the scope around it. */
  openScope(semaphore?: ScopeSemaphore): Scope {
    const around = this.context.scope;
    return new Scope(this, around?.isOver === true ? undefined : around, semaphore);
  }

  /** As `SemaphoreService.inspect`, with what only the store knows: for those who show it. */
  async look(key: string): Promise<StoreSnapshot> {
    validateKey(key);
    return this.session(key).inspect(key);
  }

  /** Keys in use that are wanted. Of others nothing is told, not even by the time that it takes. */
  async *list(
    pattern: string,
    isWanted: (key: string) => boolean,
  ): AsyncGenerator<string, void, undefined> {
    // A store may leave the choice to who asks.
    for await (const key of this.session().list(pattern, isWanted)) if (isWanted(key)) yield key;
  }

  /**
   * Sends a waiter away, and leaves it its permit when it has become a holder meanwhile.
   * @returns false when nobody waits under this id
   */
  async dropWaiter(key: string, id: string): Promise<boolean> {
    validateKey(key);
    validatePermitId(id, key);
    return this.session(key).forceRelease(key, id, true);
  }

  /** @throws {SemaphoreClosedError} */
  session(key?: string): StoreSession {
    if (this.core.isClosed) throw new SemaphoreClosedError(key);
    return this.core.session;
  }
}

/**
 * Lets the stack of a refusal show who asked, instead of what made it when the answer came. To be called by the async function
 * that waited. Other errors may be those of several callers.
 */
export function shownToCaller(error: unknown): unknown {
  if (error instanceof PermitUnavailableError) Error.captureStackTrace(error, shownToCaller);
  return error;
}

/** @throws {InvalidOptionsError} it is not one of ours, but a mock for example */
export function internalsOf(service: SemaphoreService): ServiceInternals {
  const internals = findInternals(service);
  if (internals !== undefined) return internals;
  throw new InvalidOptionsError(
    'semaphores',
    service,
    'a SemaphoreService: in tests, override the provider with a real one, such as `new SemaphoreService()`, which lives in memory',
  );
}

/** Undefined for what is not one of ours, but a mock for example. */
export function findInternals(service: SemaphoreService | undefined): ServiceInternals | undefined {
  // Private to users; read as a property, so that a proxy of the service has it too and no call pays for a look-up.
  const internals = service?.['internals'];
  return internals?.areReal === true ? internals : undefined;
}

/** The keys, each once. @throws {InvalidOptionsError} */
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
  for (const each of keys) validateKey(each);
  return keys;
}
