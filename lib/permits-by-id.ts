import type { UnkeptGrant } from './core/unkept-permit.js';
import { asUnkept, type UnkeptPermits } from './core/unkept-permits.js';
import { SemaphoreClosedError } from './semaphore.errors.js';
import { type ResolvedOptions, validateKey, validateLease } from './resolve-options.js';
import type { AcquireOptions } from './semaphore.options.js';
import type { Lease, ReleaseOutcome } from './store/semaphore-store.js';

/** What {@link PermitsById} needs of its service. */
export interface PermitsByIdParts {
  unkept: UnkeptPermits;
  resolve: (options: AcquireOptions) => ResolvedOptions;
  isClosed: () => boolean;
}

/**
 * Permits for somebody outside of this process, such as the clients of a lock server: nothing renews them, and any process
 * of the same store renews and releases them by key and id.
 */
export class PermitsById {
  constructor(private readonly parts: PermitsByIdParts) {}

  /** What an acquisition wants, checked and complete. @throws {InvalidOptionsError} */
  resolve(options: AcquireOptions): ResolvedOptions {
    return asUnkept(this.parts.resolve(options));
  }

  /**
   * @param options of {@link resolve}
   * @param id of this acquisition only, 1 to 64 characters of `[A-Za-z0-9_-]`; the same id again gives the same permit.
   *   Not to be called twice at the same time with one id
   * @throws as `SemaphoreService.acquire()`
   */
  async acquire(key: string, id: string, options: ResolvedOptions): Promise<UnkeptGrant> {
    validateKey(key);
    return this.parts.unkept.acquire(key, id, options);
  }

  /**
   * Notes something in the store that other processes find by `inspect(key)`, as a holder whose label is the text.
   * It ends with its lease, as a permit does.
   */
  async note(key: string, id: string, text: string, leaseMs: number): Promise<void> {
    const limits = { permits: Number.MAX_SAFE_INTEGER, waitMs: 0, leaseMs };
    await this.parts.unkept.acquire(key, id, { ...this.resolve(limits), label: text });
  }

  /** @returns null when the permit is not held any more @throws {StoreUnavailableError} */
  async renew(key: string, id: string, leaseMs: number): Promise<Lease | null> {
    validateLease(leaseMs, key);
    this.requireOpen(key);
    return this.parts.unkept.renew(key, id, leaseMs);
  }

  /** @throws {StoreUnavailableError} */
  async release(key: string, id: string, holdAtLeastMs = 0): Promise<ReleaseOutcome> {
    this.requireOpen(key);
    return this.parts.unkept.release(key, id, holdAtLeastMs);
  }

  /** Ends the wait of an acquisition, which rejects with AcquireAbortedError. No effect once it is granted. */
  giveUp(id: string): void {
    this.parts.unkept.giveUp(id);
  }

  /** Releases what nobody received, in the background and until it succeeded; not what another process was asked for since. */
  takeBack(key: string, id: string): void {
    this.parts.unkept.takeBack(key, id);
  }

  private requireOpen(key: string): void {
    if (this.parts.isClosed()) throw new SemaphoreClosedError(key);
  }
}
