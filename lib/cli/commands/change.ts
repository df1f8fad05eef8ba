import type { SemaphoreService } from '../../semaphore.service.js';
import { CliError } from '../cli-error.js';
import { ExitCode } from '../exit-codes.js';
import type { Output } from '../output.js';
import { counted, printable } from '../text.js';

/** Takes a permit from its holder, or sends a waiter away. */
export async function release(
  semaphores: SemaphoreService,
  output: Output,
  key: string,
  id: string,
): Promise<void> {
  if (!(await semaphores.forceRelease(key, id))) {
    const message = `Nobody holds ${key} or waits for it under the id ${id}.`;
    throw new CliError(message, ExitCode.failure, 'NOT_FOUND');
  }
  output.result({ key, id, released: true }, [`Released ${id} of ${printable(key)}.`]);
}

/** Pins the limit of a key, or gives it back to the callers. */
export async function setPermits(
  semaphores: SemaphoreService,
  output: Output,
  key: string,
  permits: number | null,
): Promise<void> {
  await semaphores.setPermits(key, permits);
  const name = printable(key);
  output.result({ key, permits }, [
    permits === null
      ? `${name}: the limit is what callers say.`
      : `${name}: ${counted(permits, 'permit')}, whatever callers say.`,
  ]);
}
