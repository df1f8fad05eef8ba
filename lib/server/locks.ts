import type { UnkeptGrant } from '../core/unkept-permit.js';
import { PermitUnavailableError } from '../semaphore.errors.js';
import type { SemaphoreService } from '../semaphore.service.js';
import { lockIdOf } from './permit-ids.js';

export interface LockToken {
  key: string;
  /** The fencing token. */
  version: number;
}

interface HeldLock {
  key: string;
  id: string;
  grant: UnkeptGrant;
}

/** What a call of `/lock` got. */
export interface Locked {
  tokens: LockToken[];
  /** Takes back what this call took: the answer reached nobody. */
  undo(): void;
}

/** Locks of several keys, all or nothing: permits of semaphores with one permit, under ids that the uid tells. */
export class Locks {
  /** Calls of one uid, one after the other: taking back for one must not take from the other. */
  private readonly turns = new Map<string, Promise<unknown>>();

  constructor(private readonly semaphores: SemaphoreService) {}

  /**
   * @param isGone whether nobody is there any more to be told
   * @returns undefined when another uid holds one of them, or nobody is there
   */
  lock(
    name: string,
    uid: string,
    keys: readonly string[],
    leaseMs: number,
    isGone: () => boolean,
  ): Promise<Locked | undefined> {
    return this.inTurn(JSON.stringify([name, uid]), async () => {
      if (isGone()) return undefined;
      const locked = await this.take(name, uid, keys, leaseMs);
      if (!isGone()) return locked;
      // Within the turn: the same caller, who asks again, is not to find what is taken back.
      locked?.undo();
      return undefined;
    });
  }

  /** @returns the keys that the uid held in just this version */
  async unlock(name: string, uid: string, tokens: readonly LockToken[]): Promise<string[]> {
    const unlocked = await Promise.all(
      tokens.map(async ({ key, version }) => {
        const id = lockIdOf(name, key, uid);
        const { holders } = await this.semaphores.inspect(key);
        const isHeld = holders.some((one) => one.id === id && one.fencingToken === version);
        if (!isHeld) return undefined;
        const outcome = await this.semaphores.permitsById.release(key, id);
        return outcome === 'released' ? key : undefined;
      }),
    );
    return unlocked.filter((key) => key !== undefined);
  }

  /** Whether somebody holds any of them. */
  async areLocked(keys: readonly string[]): Promise<boolean> {
    const snapshots = await Promise.all(keys.map((key) => this.semaphores.inspect(key)));
    return snapshots.some(({ held }) => held > 0);
  }

  /** In an order that all share: of those who want the same keys one gets all. */
  private async take(
    name: string,
    uid: string,
    keys: readonly string[],
    leaseMs: number,
  ): Promise<Locked | undefined> {
    const { permitsById } = this.semaphores;
    const limits = { permits: 1, weight: 1, waitMs: 0, maxWaiting: 0, priority: 0 };
    const options = permitsById.resolve({ ...limits, leaseMs, holdAtLeastMs: 0 });
    const held: HeldLock[] = [];
    const undo = (): void => {
      for (const { key, id, grant } of held) if (!grant.again) permitsById.takeBack(key, id);
    };
    try {
      for (const key of [...new Set(keys)].toSorted()) {
        const id = lockIdOf(name, key, uid);
        const grant = await permitsById.acquire(key, id, options);
        held.push({ key, id, grant });
      }
      if (!(await this.extend(held, leaseMs))) {
        undo();
        return undefined;
      }
    } catch (error) {
      undo();
      if (error instanceof PermitUnavailableError) return undefined;
      throw error;
    }
    const versions = new Map(held.map(({ key, grant }) => [key, grant.fencingToken]));
    const tokens = Array.from(new Set(keys), (key) => ({ key, version: versions.get(key) ?? 0 }));
    return { tokens, undo };
  }

  /** All leases begin with the last lock. @returns false when one was lost meanwhile */
  private async extend(held: readonly HeldLock[], leaseMs: number): Promise<boolean> {
    if (held.length === 1 && held[0]?.grant.again === false) return true;
    const { permitsById } = this.semaphores;
    const leases = await Promise.all(
      held.map(({ key, id }) => permitsById.renew(key, id, leaseMs)),
    );
    return !leases.includes(null);
  }

  private async inTurn<T>(caller: string, task: () => Promise<T>): Promise<T> {
    const turn = (this.turns.get(caller) ?? Promise.resolve()).then(task, task);
    this.turns.set(caller, turn);
    try {
      return await turn;
    } finally {
      if (this.turns.get(caller) === turn) this.turns.delete(caller);
    }
  }
}
