import { hangUpsRead } from '../http/hang-ups.js';
import { PermitLostError, PermitUnavailableError } from '../semaphore.errors.js';
import type { ResolvedOptions } from '../resolve-options.js';
import type { SemaphoreService } from '../semaphore.service.js';
import { internalsOf, type ServiceInternals } from '../service-internals.js';
import type { StoreSnapshot } from '../store/semaphore-store.js';
import { type LockOwner, lockPrefixOf, newLockId } from './permit-ids.js';

interface LockToken {
  key: string;
  /** The fencing token. */
  version: number;
}

/** Shorter leases may end on the way to the store and back. */
const SHORT_MS = 1000;
/** The lease of what is locked until all of it is, at least, and more for many keys: then all get the wanted one. */
const TAKING_MS = 5000;
const TAKING_MS_A_KEY = 250;
/** How often a call begins anew that the same uid's call at another server got in the way of. */
const MAX_TRIES = 5;

interface HeldLock extends LockToken {
  id: string;
  /** Not one that the uid held before. */
  isNew: boolean;
  /** What is left of its lease when the uid held it before, in milliseconds. */
  leftMs: number;
}

/** Why nothing was locked: somebody else has locked a key, or what was locked ended before all of it was. */
export type LockRefusal = 'locked' | 'lost';

/** What a call of `/lock` got. */
export interface Locked {
  tokens: LockToken[];
  /** Takes back what this call took: the answer reached nobody. */
  undo(): void;
}

/**
 * Locks of several keys, all or nothing: permits of semaphores with one permit, under ids whose beginning the uid tells.
 * What one look at the store finds is an id, that is: one version. Whatever happens next to the id happens to that version.
 */
export class Locks {
  /** Calls of one uid, one after the other: taking back for one must not take from the other. */
  private readonly turns = new Map<string, Promise<unknown>>();

  private readonly internals: ServiceInternals;

  /** @throws {InvalidOptionsError} semaphores that are none of ours */
  constructor(semaphores: SemaphoreService) {
    this.internals = internalsOf(semaphores);
  }

  /**
   * @param isGone whether nobody is there any more to be told
   * @returns why not, or undefined when nobody is there
   */
  lock(
    owner: LockOwner,
    keys: readonly string[],
    leaseMs: number,
    isGone: () => boolean,
  ): Promise<Locked | LockRefusal | undefined> {
    return this.inTurn(JSON.stringify([owner.name, owner.uid]), async () => {
      if (isGone()) return undefined;
      const locked = await this.tryToTake(owner, keys, leaseMs);
      await hangUpsRead();
      if (!isGone()) return locked;
      // Within the turn: the same caller, who asks again, is not to find what is taken back.
      if (typeof locked === 'object') locked.undo();
      return undefined;
    });
  }

  /** @returns the keys that the uid held in just this version */
  async unlock(owner: LockOwner, tokens: readonly LockToken[]): Promise<string[]> {
    const versions = new Map<string, Set<number>>();
    for (const { key, version } of tokens) {
      versions.set(key, (versions.get(key) ?? new Set()).add(version));
    }
    const unlocked = await Promise.all(
      Array.from(versions, async ([key, wanted]) => {
        const own = ownOf(await this.internals.look(key), lockPrefixOf(owner, key));
        if (own === undefined || !wanted.has(own.version)) return undefined;
        const outcome = await this.internals.permitsById.release(key, own.id);
        return outcome === 'released' ? key : undefined;
      }),
    );
    return unlocked.filter((key) => key !== undefined);
  }

  /** Whether somebody holds any of them. */
  async areLocked(keys: readonly string[]): Promise<boolean> {
    const distinct = new Set(keys);
    const snapshots = await Promise.all(Array.from(distinct, (key) => this.internals.look(key)));
    return snapshots.some(({ held }) => held > 0);
  }

  /** Takes all keys or none, again when another server's call of the same uid got in the way: what that took back is free. */
  private async tryToTake(
    owner: LockOwner,
    keys: readonly string[],
    leaseMs: number,
  ): Promise<Locked | LockRefusal> {
    for (let tries = 1; ; tries++) {
      const locked = await this.take(owner, keys, leaseMs);
      if (locked !== 'lost' || tries === MAX_TRIES) return locked;
    }
  }

  /** Takes the keys in an order that all share: of those who want the same keys one gets all. */
  private async take(
    owner: LockOwner,
    keys: readonly string[],
    leaseMs: number,
  ): Promise<Locked | LockRefusal> {
    const { internals } = this;
    const { permitsById } = internals;
    const inOrder = [...new Set(keys)].toSorted();
    // What is refused takes nothing, not even for a moment, unless somebody else is just as fast.
    if (inOrder.length > 1 && (await this.isTaken(owner, inOrder))) return 'locked';
    const limits = { permits: 1, weight: 1, waitMs: 0, maxWaiting: 0, priority: 0 };
    const isAtOnce = keys.length === 1 && leaseMs >= SHORT_MS;
    const takingMs = isAtOnce ? leaseMs : Math.max(TAKING_MS, keys.length * TAKING_MS_A_KEY);
    const options = internals.resolveUnkept({ ...limits, leaseMs: takingMs, holdAtLeastMs: 0 });
    const held: HeldLock[] = [];
    const undo = (): void => {
      for (const { key, id, isNew } of held) if (isNew) permitsById.takeBack(key, id);
    };
    try {
      for (const key of inOrder) {
        held.push(await this.takeOne(key, lockPrefixOf(owner, key), options));
      }
      const isLeased = isAtOnce && held[0]?.isNew === true;
      if (!isLeased) await this.setLeases(held, leaseMs);
    } catch (error) {
      undo();
      if (error instanceof PermitUnavailableError) return 'locked';
      if (error instanceof PermitLostError) return 'lost';
      throw error;
    }
    const versions = new Map(held.map(({ key, version }) => [key, version]));
    const tokens = Array.from(new Set(keys), (key) => ({ key, version: versions.get(key) ?? 0 }));
    return { tokens, undo };
  }

  /** Whether somebody else holds any of them. */
  private async isTaken(owner: LockOwner, keys: readonly string[]): Promise<boolean> {
    const snapshots = await Promise.all(keys.map((key) => this.internals.look(key)));
    return snapshots.some((snapshot) => {
      const { key, held, permits, pinned } = snapshot;
      const isFull = held >= (pinned ? permits : 1);
      return isFull && ownOf(snapshot, lockPrefixOf(owner, key)) === undefined;
    });
  }

  /** @throws {PermitUnavailableError} another uid holds it */
  private async takeOne(key: string, prefix: string, options: ResolvedOptions): Promise<HeldLock> {
    const { permitsById } = this.internals;
    const id = newLockId(prefix);
    try {
      const { fencingToken } = await permitsById.acquire(key, id, options);
      return { key, id, version: fencingToken, isNew: true, leftMs: 0 };
    } catch (error) {
      if (!(error instanceof PermitUnavailableError)) throw error;
      const snapshot = await this.internals.look(key);
      const own = ownOf(snapshot, prefix);
      // It is free again.
      if (snapshot.holders.length === 0) throw new PermitLostError(key, id, 'expired');
      if (own === undefined) throw error;
      // Asked for again, so that no server takes it back whose answer reached nobody.
      const { fencingToken } = await permitsById.acquire(key, own.id, options);
      if (fencingToken === own.version) return own;
      // It ended just now: what was granted is another version.
      permitsById.takeBack(key, own.id);
      throw new PermitLostError(key, own.id, 'expired');
    }
  }

  /** All leases begin with the last lock; none becomes shorter than it was. @throws {PermitLostError} one was lost meanwhile */
  private async setLeases(held: readonly HeldLock[], leaseMs: number): Promise<void> {
    const { permitsById } = this.internals;
    const leases = await Promise.all(
      held.map(({ key, id, leftMs }) => permitsById.renew(key, id, Math.max(leaseMs, leftMs))),
    );
    const lost = held[leases.indexOf(null)];
    if (lost !== undefined) throw new PermitLostError(lost.key, lost.id, 'expired');
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

/** What is held already under an id that begins so. */
function ownOf({ key, holders, now }: StoreSnapshot, prefix: string): HeldLock | undefined {
  const own = holders.find(({ id }) => id.startsWith(prefix));
  if (own === undefined) return undefined;
  const { id, fencingToken, expiresAt } = own;
  return { key, id, version: fencingToken, isNew: false, leftMs: expiresAt - now };
}
