import type { Permit } from '../core/permit.js';
import { PermitUnavailableError, SemaphoreClosedError } from '../semaphore.errors.js';
import type { SemaphoreService } from '../semaphore.service.js';
import { internalsOf, shownToCaller } from '../service-internals.js';
import type { CancelSignal } from '../cancel/cancel-signal.js';
import type { SemaphoreDefinition } from './semaphore.definition.js';

/**
 * A permit as the decorator's options ask for it.
 * @returns undefined when there was none, and the options say 'skip'
 */
export function acquireFor(
  service: SemaphoreService,
  definition: SemaphoreDefinition,
  key: string | readonly string[],
  signal?: CancelSignal,
): Promise<Permit | undefined> {
  const acquired = internalsOf(service).acquire(key, definition.options, signal);
  if (!definition.skip) return acquired;
  return acquired.catch((error: unknown) => {
    if (isSkipped(definition, error)) return undefined;
    throw error;
  });
}

/** Whether the options say to do without the work. A store that is away is another matter: `onStoreFailure` decides. */
export function isSkipped({ skip }: SemaphoreDefinition, error: unknown): boolean {
  const isRefusal =
    error instanceof PermitUnavailableError || error instanceof SemaphoreClosedError;
  return skip && isRefusal;
}

/** Runs `task` under such a permit; not at all, and returns undefined, when the options say 'skip'. */
export async function admit<T>(
  service: SemaphoreService,
  definition: SemaphoreDefinition,
  key: string | readonly string[],
  task: (permit: Permit) => T | Promise<T>,
  signal?: CancelSignal,
): Promise<T | undefined> {
  let permit: Permit | undefined;
  try {
    permit = await acquireFor(service, definition, key, signal);
  } catch (error) {
    throw shownToCaller(error);
  }
  return permit === undefined ? undefined : internalsOf(service).runUnder(permit, task);
}
