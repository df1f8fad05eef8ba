import { AsyncLocalStorage } from 'node:async_hooks';
import { begun } from '../completion/when-over.js';

/** A flight whose work is being done. */
interface Surrounding {
  readonly flights: object;
  readonly permitKey: string;
  /** What still waits for this one. Cut off in the end: what the work has left behind keeps its context, and this, for ever. */
  outer: Surrounding | undefined;
  isOver: boolean;
}

const storage = new AsyncLocalStorage<Surrounding>();

/** Does the work so that {@link isWithin} knows what runs within it. @param flights whose key it is */
export async function doWithin<T>(
  flights: object,
  permitKey: string,
  work: () => T | Promise<T>,
): Promise<T> {
  const flight: Surrounding = { flights, permitKey, outer: storage.getStore(), isOver: false };
  try {
    return await storage.run(flight, () => begun(work()));
  } finally {
    flight.isOver = true;
    flight.outer = undefined;
  }
}

/** Whether this is called from the work of the key's flight: who then waits for its result waits for itself. */
export function isWithin(flights: object, permitKey: string): boolean {
  let flight = storage.getStore();
  while (flight?.isOver === false) {
    if (flight.flights === flights && flight.permitKey === permitKey) return true;
    flight = flight.outer;
  }
  return false;
}
