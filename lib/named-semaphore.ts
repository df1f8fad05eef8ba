import type { Observable } from 'rxjs';
import { filter } from 'rxjs';
import type { Permit } from './core/permit.js';
import type { SemaphoreEvent } from './semaphore.events.js';
import { overlay, validateKey, validateOptions } from './resolve-options.js';
import type { SemaphoreDefaults, SemaphoreOptions } from './semaphore.options.js';
import type { Bound, SemaphoreService } from './semaphore.service.js';
import type { SemaphoreSnapshot } from './store/semaphore-store.js';

/**
 * One semaphore with options of its own: {@link SemaphoreService} without the key.
 * @example constructor(@InjectSemaphore('reports') private readonly reports: NamedSemaphore) {}
 */
export class NamedSemaphore {
  private readonly options: Readonly<SemaphoreDefaults>;

  /** @throws {InvalidOptionsError} */
  constructor(
    private readonly semaphores: SemaphoreService,
    /** Its key, too. */
    readonly name: string,
    options: SemaphoreDefaults = {},
  ) {
    validateKey(name, 'name');
    validateOptions(options);
    this.options = Object.freeze({ name, ...options });
  }

  /** What happens to this semaphore's permits in this process. */
  get events(): Observable<SemaphoreEvent> {
    return this.semaphores.events.pipe(filter((event) => event.key === this.name));
  }

  /** See {@link SemaphoreService.acquire}. */
  acquire(options?: SemaphoreOptions): Promise<Permit> {
    return this.semaphores.acquire(this.name, this.with(options));
  }

  /** See {@link SemaphoreService.tryAcquire}. */
  tryAcquire(options?: SemaphoreOptions): Promise<Permit | null> {
    return this.semaphores.tryAcquire(this.name, this.with(options));
  }

  /** See {@link SemaphoreService.withPermit}. */
  withPermit<T>(
    task: (permit: Permit) => T | PromiseLike<T>,
    options?: SemaphoreOptions,
  ): Promise<T> {
    return this.semaphores.withPermit(this.name, task, this.with(options));
  }

  /** See {@link SemaphoreService.bind}. */
  bind<This, Args extends unknown[], Result>(
    fn: (this: This, ...args: Args) => Result,
    options?: SemaphoreOptions,
  ): Bound<This, Args, Result> {
    return this.semaphores.bind(this.name, fn, this.with(options));
  }

  /** See {@link SemaphoreService.use}. */
  use(options?: SemaphoreOptions): Promise<Permit> {
    return this.semaphores.use(this.name, this.with(options));
  }

  /** See {@link SemaphoreService.inspect}. */
  inspect(): Promise<SemaphoreSnapshot> {
    return this.semaphores.inspect(this.name);
  }

  /** See {@link SemaphoreService.setPermits}. */
  setPermits(permits: number | null): Promise<void> {
    return this.semaphores.setPermits(this.name, permits);
  }

  /** See {@link SemaphoreService.forceRelease}. */
  forceRelease(permitId: string): Promise<boolean> {
    return this.semaphores.forceRelease(this.name, permitId);
  }

  private with(call: SemaphoreOptions | undefined): SemaphoreOptions | undefined {
    return overlay(this.options, call);
  }
}
