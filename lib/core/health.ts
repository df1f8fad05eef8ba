import type { Clock } from '../store/clock.js';
import { checkHealth, NOBODYS_KEY } from '../store/health-check.js';
import type { StoreHealth, StoreSession } from '../store/semaphore-store.js';

/** The store's health; of a store that cannot tell, what a call to it shows. */
export async function healthOf(
  session: StoreSession,
  clock: Clock,
  timeoutMs: number,
): Promise<StoreHealth> {
  if (session.health !== undefined) return session.health(timeoutMs);
  const late = (): Error => new Error(`the store did not answer within ${timeoutMs} ms`);
  const seen = await checkHealth(clock, timeoutMs, () => session.inspect(NOBODYS_KEY), late);
  const isUp = seen.error === undefined;
  return { ...seen, isListening: isUp, silentMs: isUp ? 0 : Infinity };
}
