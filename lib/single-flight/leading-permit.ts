import { HeldPermit } from '../core/held-permit.js';
import type { Permit } from '../core/permit.js';

/** A permit without the store is never lost. @returns what ends the watch */
export function whenLost(permit: Permit, listener: (error: Error) => void): () => void {
  if (!(permit instanceof HeldPermit)) return () => undefined;
  permit.watchLoss(listener);
  return () => permit.watchLoss(undefined);
}

/** Gives the permit back that is there, or comes although nobody waits for it any more. */
export function release(acquiring: Promise<Permit>): void {
  acquiring.then(
    (permit) => permit.release(),
    () => undefined,
  );
}
