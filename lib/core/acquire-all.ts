import { PermitLostError, PermitUnavailableError } from '../semaphore.errors.js';
import type { ResolvedOptions } from '../resolve-options.js';
import { borrow } from './borrowed-permit.js';
import type { HeldContext } from './held-context.js';
import { HeldPermit } from './held-permit.js';
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
  const meanwhile = keptAlive(options);
  try {
    for (const key of keys.toSorted()) {
      permits.set(key, await acquireOne(core, context, key, meanwhile, since));
    }
    if (meanwhile !== options) await restart(permits.values(), options);
    for (const { key, id, isHeld } of permits.values()) {
      if (!isHeld) throw new PermitLostError(key, id, 'expired');
    }
  } catch (error) {
    const discarded = Promise.all(Array.from(permits.values(), discard));
    // Whoever is told that a key is taken finds none of the others taken.
    if (error instanceof PermitUnavailableError) await discarded;
    throw error;
  }
  const [first, ...others] = keys.map((key) => permits.get(key) as Permit);
  return new PermitSet([first as Permit, ...others]);
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
function keptAlive(options: ResolvedOptions): ResolvedOptions {
  const { renew, maxHoldMs, leaseMs } = options;
  if (leaseMs === Infinity || (renew && maxHoldMs === Infinity)) return options;
  return { ...options, renew: true, maxHoldMs: Infinity };
}

async function restart(permits: Iterable<Permit>, options: ResolvedOptions): Promise<void> {
  const renewals: Promise<void>[] = [];
  for (const permit of permits) {
    if (permit instanceof HeldPermit) renewals.push(permit.restart(options));
  }
  await Promise.all(renewals);
}

function discard(permit: Permit): Promise<unknown> {
  return permit instanceof HeldPermit ? permit.discard() : permit.release();
}
