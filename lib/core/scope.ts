import { AcquireAbortedError, ScopeError, WaitEnded } from '../semaphore.errors.js';
import { overlay, type ResolvedOptions } from '../resolve-options.js';
import type { SemaphoreDefaults, SemaphoreOptions } from '../semaphore.options.js';
import { borrowForUse } from './borrowed-permit.js';
import type { HeldContext } from './held-context.js';
import type { Permit } from './permit.js';
import { partsOf } from './permit-set.js';
import { SharedPermit } from './shared-permit.js';

/** What a scope acquires with. */
export interface ScopeHost {
  readonly context: HeldContext;
  resolve(options: SemaphoreOptions | undefined, key: string): ResolvedOptions;
  acquireResolved(key: string, options: ResolvedOptions): Promise<Permit>;
}

/** The semaphore that a scope was opened for: `use` of its key needs no options. */
export interface ScopeSemaphore {
  readonly key: string;
  readonly options: SemaphoreDefaults;
  /** false: a permit of it outlives the scope. */
  readonly releaseOnEnd: boolean;
  /** Is told why an acquisition of the scope, whatever its key, came to nothing, before whoever waits for it. */
  readonly onRefused: (error: unknown) => void;
}

// Made once: an error of its own for each scope would cost more than the rest of it.
const ENDED = new WaitEnded('The scope ended: its task, or the request, was over.');

/** Work that takes a permit of a key once, however often it asks for it, and gives all of them back when it is over. */
export class Scope {
  /** No `use` from now on. */
  isOver = false;

  private readonly permits = new Map<string, SharedPermit>();
  /** What the scope had of a key before it adopted a permit of it. */
  private replaced: SharedPermit[] | undefined;
  private ended: Promise<void> | undefined;

  /** @param outer a scope of the same request: what that one holds is held here too */
  constructor(
    private readonly host: ScopeHost,
    private readonly outer?: Scope,
    private readonly semaphore?: ScopeSemaphore,
  ) {}

  /** Runs a part of the work; it may be asynchronous. */
  run<T>(task: () => T): T {
    return this.host.context.runIn(this, task);
  }

  /** See `SemaphoreService.use`. */
  use(key: string, options?: SemaphoreOptions): Promise<Permit> {
    if (this.isOver) throw new ScopeError('ended', key);
    const resolved = this.host.resolve(overlay(this.optionsOf(key), options), key);
    const owner = this.ownerOf(key);
    if (owner.find(key) !== undefined) return owner.join(key, resolved);
    // Who waited for another one would wait for itself.
    const ofTask = this.host.context.findOfTask(key);
    if (ofTask !== undefined) return borrowForUse(ofTask, resolved);
    return owner.join(key, resolved);
  }

  /** Takes note of a permit whose own end comes with that of the scope. */
  adopt(permit: Permit): void {
    for (const part of partsOf(permit)) {
      const before = this.permits.get(part.key);
      if (before !== undefined) (this.replaced ??= []).push(before);
      this.permits.set(part.key, new SharedPermit(part.key, part));
    }
  }

  /** The permit of a key that is held here. */
  find(key: string): Permit | undefined {
    return this.permits.get(key)?.held;
  }

  /**
   * Gives everything back, waits included. Never rejects. A permit that the store cannot take back now is given back in
   * the background.
   */
  end(): Promise<void> {
    this.isOver = true;
    return (this.ended ??= this.endAll(true));
  }

  /** As {@link end}, when the work may go on: the signals of its permits are aborted first. */
  breakOff(): Promise<void> {
    this.isOver = true;
    return (this.ended ??= this.endAll(false));
  }

  private async endAll(isWorkOver: boolean): Promise<void> {
    const ending: Promise<void>[] = [];
    for (const [key, permit] of this.permits) {
      const isKept = this.semaphore?.key === key && !this.semaphore.releaseOnEnd;
      if (!isKept || permit.held === undefined) ending.push(permit.end(ENDED, isWorkOver));
    }
    for (const permit of this.replaced ?? []) ending.push(permit.end(ENDED, isWorkOver));
    this.permits.clear();
    for (const ended of ending) await ended;
  }

  private join(key: string, options: ResolvedOptions): Promise<Permit> {
    const { signal } = options;
    if (signal?.aborted === true) throw new AcquireAbortedError(key, signal.reason);
    const known = this.permits.get(key);
    if (known?.isUsable === true) return known.join(signal);
    const fresh = new SharedPermit(key, (abandoned) => {
      const permit = this.host.acquireResolved(key, { ...options, signal: abandoned });
      if (this.semaphore !== undefined) permit.catch(this.semaphore.onRefused);
      return permit;
    });
    this.permits.set(key, fresh);
    return fresh.join(signal);
  }

  /** Who has the key already; else who was opened for it. */
  private ownerOf(key: string): Scope {
    const has = (scope: Scope): boolean => scope.permits.get(key)?.isUsable === true;
    const isFor = (scope: Scope): boolean => scope.semaphore?.key === key;
    return this.closest(has) ?? this.closest(isFor) ?? this;
  }

  private closest(matches: (scope: Scope) => boolean): Scope | undefined {
    return !this.isOver && matches(this) ? this : this.outer?.closest(matches);
  }

  private optionsOf(key: string): SemaphoreOptions | undefined {
    return this.semaphore?.key === key ? this.semaphore.options : this.outer?.optionsOf(key);
  }
}
