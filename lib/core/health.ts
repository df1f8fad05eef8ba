import type { Clock } from '../store/clock.js';
import { within } from '../store/within.js';
import type { StoreHealth, StoreSession } from '../store/semaphore-store.js';

/** A key for stores that are asked by a call: a semaphore that nobody uses. */
const NOBODYS_KEY = 'semaphore:health';

/** The store's health; of a store that cannot tell, what a call to it shows. */
export async function healthOf(
  session: StoreSession,
  clock: Clock,
  timeoutMs: number,
): Promise<StoreHealth> {
  if (session.health !== undefined) return session.health(timeoutMs);
  const startedAt = clock.now();
  let error: Error | undefined;
  try {
    const late = (): Error => new Error(`the store did not answer within ${timeoutMs} ms`);
    await within(clock, timeoutMs, session.inspect(NOBODYS_KEY), late);
  } catch (reason) {
    error = reason instanceof Error ? reason : new Error(String(reason));
  }
  const isUp = error === undefined;
  return {
    latencyMs: isUp ? clock.now() - startedAt : undefined,
    error,
    isListening: isUp,
    silentMs: isUp ? 0 : Infinity,
  };
}
