import type { CancelSignal } from '../core/abandonment.js';
import type { Permit } from '../core/permit.js';
import { PermitUnavailableError } from '../semaphore.errors.js';
import type { SemaphoreService } from '../semaphore.service.js';
import type { SemaphoreDefinition } from './semaphore.definition.js';

/**
 * Runs `task` under a permit, as the decorator's options ask for it.
 * @returns undefined, without running `task`, when there was no permit and the options say 'skip'
 */
export async function admit<T>(
  service: SemaphoreService,
  definition: SemaphoreDefinition,
  key: string | string[],
  task: (permit: Permit) => T | Promise<T>,
  signal?: CancelSignal,
): Promise<T | undefined> {
  let permit: Permit;
  try {
    permit = await service.acquireUntil(key, definition.options, signal);
  } catch (error) {
    if (skips(definition, error)) return undefined;
    throw error;
  }
  return service.runUnder(permit, task);
}

/** Whether the method is to be left out instead of failing. */
export function skips(definition: SemaphoreDefinition, error: unknown): boolean {
  return definition.skip && error instanceof PermitUnavailableError;
}
