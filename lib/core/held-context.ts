import { AsyncLocalStorage } from 'node:async_hooks';
import type { Permit } from './permit.js';
import { PermitSet } from './permit-set.js';

/** Which permits the running async context works under. */
export class HeldContext {
  private readonly storage = new AsyncLocalStorage<readonly Permit[]>();

  /** A permit of the key that the context holds. */
  find(key: string): Permit | undefined {
    return this.storage.getStore()?.find((permit) => permit.key === key && permit.isHeld);
  }

  run<T>(permit: Permit, task: () => T): T {
    // What is over is left out: a context that starts the next one for ever would remember them all.
    const outer = this.storage.getStore()?.filter((other) => other.isHeld) ?? [];
    const own = permit instanceof PermitSet ? permit.parts : [permit];
    return this.storage.run([...outer, ...own], task);
  }
}
