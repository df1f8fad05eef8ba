import { PermitLostError } from '../semaphore.errors.js';
import type { ResolvedOptions } from '../resolve-options.js';
import { BorrowedPermit } from './borrowed-permit.js';
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
  try {
    for (const key of keys.toSorted()) {
      permits.set(key, await acquireOne(core, context, key, options, since));
    }
    for (const { key, id, isHeld } of permits.values()) {
      if (!isHeld) throw new PermitLostError(key, id, 'expired');
    }
  } catch (error) {
    for (const permit of permits.values()) discard(permit);
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
  return own ? Promise.resolve(new BorrowedPermit(own)) : core.acquire(key, options, since);
}

function discard(permit: Permit): void {
  if (permit instanceof HeldPermit) permit.discard();
  else void permit.release();
}
