import { onAbort } from '../cancel/on-abort.js';
import {
  AcquireAbortedError,
  PermitLostError,
  PermitUnavailableError,
  StoreUnavailableError,
} from '../semaphore.errors.js';
import type { CancelSignal } from '../cancel/cancel-signal.js';
import type { ResolvedOptions } from '../resolve-options.js';
import { CancelSource } from '../cancel/cancel-source.js';
import { borrow } from './borrowed-permit.js';
import type { HeldContext } from './held-context.js';
import { HeldPermit, whenLost } from './held-permit.js';
import { OwnPermit } from './own-permit.js';
import type { Permit } from './permit.js';
import { PermitSet } from './permit-set.js';
import type { SemaphoreCore } from './semaphore-core.js';

/**
 * Acquires every key or none. One key after another in an order that all callers share, so that no two callers can
 * wait for each other.
 */
export function acquireAll(
  core: SemaphoreCore,
  context: HeldContext,
  keys: readonly [string, ...string[]],
  options: ResolvedOptions,
): Promise<Permit> {
  if (keys.length > 1) return acquireInOrder(core, context, keys, options);
  return acquireOne(core, context, keys[0], options);
}

async function acquireInOrder(
  core: SemaphoreCore,
  context: HeldContext,
  keys: readonly [string, ...string[]],
  options: ResolvedOptions,
): Promise<Permit> {
  const since = core.clock.now();
  const permits = new Map<string, Permit>();
  const keptAlive = keepAlive(options);
  const wait = new WaitForAll(options.signal);
  const meanwhile = { ...keptAlive, signal: wait.signal };
  try {
    for (const key of keys.toSorted()) {
      const permit = await acquireOne(core, context, key, meanwhile, since);
      permits.set(key, permit);
      wait.watch(permit);
    }
    if (keptAlive !== options) await restart(permits.values(), options);
    for (const { key, id, isHeld } of permits.values()) {
      if (!isHeld) throw wait.loss ?? new PermitLostError(key, id, 'expired');
    }
  } catch (error) {
    const discarded = Promise.all(Array.from(permits.values(), discard));
    // Whoever is told that a key is taken finds none of the others taken.
    if (error instanceof PermitUnavailableError) await discarded;
    throw wait.causeOf(error);
  } finally {
    wait.end();
  }
  const [first, ...others] = keys.map((key) => permits.get(key) as Permit);
  return new PermitSet([first as Permit, ...others]);
}

/** A wait for several keys, which is in vain as soon as a permit of them that is there already is lost. */
class WaitForAll {
  readonly signal = new CancelSource();
  /** Of the permit that was lost. */
  loss: PermitLostError | undefined;
  private readonly stops: (() => void)[] = [];

  constructor(given: CancelSignal | undefined) {
    if (given === undefined) return;
    if (given.aborted) this.signal.abort(given.reason);
    else this.stops.push(onAbort(given, () => this.signal.abort(given.reason)));
  }

  watch(permit: Permit): void {
    const stop = whenLost(permit, (error) => {
      this.loss = error;
      this.signal.abort(error);
    });
    this.stops.push(stop);
  }

  /** The error for the caller: the loss of a permit, in place of the abort that it caused. */
  causeOf(error: unknown): unknown {
    const { loss } = this;
    const isItsAbort = error instanceof AcquireAbortedError && error.cause === loss;
    return isItsAbort && loss !== undefined ? loss : error;
  }

  end(): void {
    for (const stop of this.stops) stop();
  }
}

function acquireOne(
  core: SemaphoreCore,
  context: HeldContext,
  key: string,
  options: ResolvedOptions,
  since?: number,
): Promise<Permit> {
  const own = options.reentrant ? context.find(key) : undefined;
  return own ? borrow(own, options) : core.acquire(key, options, since);
}

/** Options by which a permit lasts until all the others are there. */
function keepAlive(options: ResolvedOptions): ResolvedOptions {
  const { renew, maxHoldMs, leaseMs } = options;
  if (leaseMs === Infinity || (renew && maxHoldMs === Infinity)) return options;
  return { ...options, renew: true, maxHoldMs: Infinity };
}

async function restart(permits: Iterable<Permit>, options: ResolvedOptions): Promise<void> {
  const renewals: Promise<void>[] = [];
  for (const permit of permits) {
    if (permit instanceof HeldPermit) renewals.push(restartOne(permit, options));
  }
  await Promise.all(renewals);
}

/** Without the store the permit keeps the lease that it has, unless `onStoreFailure` is 'reject'. */
async function restartOne(permit: HeldPermit, options: ResolvedOptions): Promise<void> {
  try {
    await permit.restart(options);
  } catch (error) {
    const isAllowed = options.onStoreFailure !== 'reject' && error instanceof StoreUnavailableError;
    if (!isAllowed) throw error;
  }
}

function discard(permit: Permit): Promise<unknown> {
  return permit instanceof OwnPermit ? permit.discard() : permit.release();
}
