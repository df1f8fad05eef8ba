import type { Permit } from '../core/permit.js';
import type { SemaphoreCore } from '../core/semaphore-core.js';
import { resolveOptions } from '../resolve-options.js';
import type { CancelSignal } from '../cancel/cancel-signal.js';

/** Of all flights: their keys are too many. */
const TELEMETRY_NAME = 'single-flight';

/** @returns the permit of the leader. It need not be waited for: {@link release} gives it back. */
export function acquireLead(
  core: SemaphoreCore,
  permitKey: string,
  options: { leaseMs: number; waitMs: number },
  signal?: CancelSignal,
): Promise<Permit> {
  const acquiring = core.acquire(permitKey, {
    ...resolveOptions({ ...options, name: TELEMETRY_NAME }),
    signal,
  });
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
