import type { Permit } from '../core/permit.js';
import type { SemaphoreCore } from '../core/semaphore-core.js';
import { resolveOptions } from '../resolve-options.js';
import type { CancelSignal } from '../cancel/cancel-signal.js';

/** The name is that of all flights: their keys are too many for telemetry. */
const OPTIONS = resolveOptions({ name: 'single-flight' });

/** @returns the permit of the leader. It need not be waited for: {@link release} gives it back. */
export function acquireLead(
  core: SemaphoreCore,
  permitKey: string,
  options: { leaseMs: number; waitMs: number; signal?: CancelSignal },
): Promise<Permit> {
  const acquiring = core.acquire(permitKey, { ...OPTIONS, ...options });
  acquiring.catch(() => undefined);
  return acquiring;
}

/** Gives the permit back that is there, or comes although nobody waits for it any more. */
export function release(acquiring: Promise<Permit>): void {
  acquiring.then(
    (permit) => permit.release(),
    () => undefined,
  );
}
