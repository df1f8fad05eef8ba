import { AsyncLocalStorage } from 'node:async_hooks';
import type { Permit } from './permit.js';
import { partsOf } from './permit-set.js';
import type { Scope } from './scope.js';

interface Held {
  readonly permits: readonly Permit[];
  /** The innermost is the last. */
  readonly scopes: readonly Scope[];
}

/** Which permits the running async context works under, and in which scopes. */
export class HeldContext {
  private readonly storage = new AsyncLocalStorage<Held>();

  /** The innermost scope, which may be over. */
  get scope(): Scope | undefined {
    return this.storage.getStore()?.scopes.at(-1);
  }

  /** A permit of the key that the context holds, in a scope too. */
  find(key: string): Permit | undefined {
    const { scopes } = this.storage.getStore() ?? {};
    return this.findOfTask(key) ?? scopes?.findLast((scope) => scope.find(key))?.find(key);
  }

  /** A permit of the key that the context runs under, until its task is over. */
  findOfTask(key: string): Permit | undefined {
    const held = this.storage.getStore();
    return held?.permits.find((permit) => permit.key === key && permit.isHeld);
  }

  run<T>(permit: Permit, task: () => T): T {
    const { permits = [], scopes = [] } = this.storage.getStore() ?? {};
    return this.storage.run(
      { permits: [...permits.filter(isHeld), ...partsOf(permit)], scopes },
      task,
    );
  }

  runIn<T>(scope: Scope, task: () => T): T {
    const { permits = [], scopes = [] } = this.storage.getStore() ?? {};
    return this.storage.run({ permits, scopes: [...scopes.filter(isOpen), scope] }, task);
  }
}

// What is over is left out: a context that starts the next one for ever would remember them all.
const isHeld = (permit: Permit): boolean => permit.isHeld;
const isOpen = (scope: Scope): boolean => !scope.isOver;
