import { PermitUnavailableError, SemaphoreClosedError } from '../semaphore.errors.js';
import type { FlightCaller } from './flight-caller.js';
import type { FlightControl } from './flight.js';
import { acquireLead, release } from './leading-permit.js';
import { LeadingWork } from './leading-work.js';

/**
 * Makes a new result in the background, unless somebody else does. When that fails what is stored is used until its time is
 * over. Never rejects.
 */
export async function refresh(
  permitKey: string,
  caller: FlightCaller,
  control: FlightControl,
): Promise<void> {
  const { core, store } = control;
  const { leaseMs } = caller.options;
  const looking = store.look(permitKey);
  const acquiring = acquireLead(core, permitKey, { leaseMs, waitMs: 0 });
  try {
    const [look, permit] = await Promise.all([looking, acquiring]);
    if (look.state === 'fresh') return;
    const work = new LeadingWork(
      {
        control,
        permitKey,
        // An error does not take the place of a result.
        options: { ...caller.options, cacheErrorsMs: 0 },
        isWanted: () => true,
        onStop: () => undefined,
      },
      caller,
    );
    const outcome = await work.lead(permit);
    if (outcome.isError) throw outcome.error;
    if (work.refusal !== undefined) throw work.refusal;
  } catch (error) {
    const isOthers = error instanceof PermitUnavailableError;
    const isOver = error instanceof SemaphoreClosedError;
    if (!isOthers && !isOver) core.refreshFailed(permitKey, error);
  } finally {
    release(acquiring);
  }
}
