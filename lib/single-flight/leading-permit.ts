import type { Permit } from '../core/permit.js';

/** Gives the permit back that is there, or comes although nobody waits for it any more. */
export function release(acquiring: Promise<Permit>): void {
  acquiring.then(
    (permit) => permit.release(),
    () => undefined,
  );
}
