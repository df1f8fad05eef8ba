import { asError } from '../semaphore.errors.js';
import type { Clock } from './clock.js';
import type { StoreHealth } from './semaphore-store.js';
import { within } from './within.js';

/** A key for stores that are asked by a call: a semaphore that nobody uses. */
export const NOBODYS_KEY = 'semaphore:health';

/** How long a store takes to answer, or why it does not. Never rejects. */
export async function checkHealth(
  clock: Clock,
  timeoutMs: number,
  ask: () => Promise<unknown>,
  timeoutError: () => Error,
): Promise<Pick<StoreHealth, 'latencyMs' | 'error'>> {
  const startedAt = clock.now();
  try {
    await within(clock, timeoutMs, ask(), timeoutError);
    return { latencyMs: clock.now() - startedAt, error: undefined };
  } catch (error) {
    return { latencyMs: undefined, error: asError(error) };
  }
}
