import type { ResolvedOptions } from '../resolve-options.js';
import type { Grant } from '../store/semaphore-store.js';
import type { Timed } from './alarm.js';
import { Waiter } from './waiter.js';

/** What becomes of an acquisition whose permit is not kept. */
export interface UnkeptGrant extends Pick<Grant, 'fencingToken' | 'expiresAt' | 'deadline'> {
  /** Less than was asked for where a limit that was set leaves less. */
  weight: number;
  /** The id held it before it was asked for now. */
  again: boolean;
}

/** Waits for a permit that is somebody else's as soon as it is granted. */
export class UnkeptWaiter extends Waiter {
  /** Settles when the store has said first what becomes of it, or cannot be asked. */
  readonly told: Promise<void>;
  private tell: () => void = () => undefined;

  constructor(
    id: string,
    key: string,
    options: ResolvedOptions,
    since: number,
    /** Of the permit that the id held when it was asked for, as far as this process knows. */
    readonly knownToken: number | undefined,
    readonly handOver: (grant: UnkeptGrant) => void,
    reject: (error: Error) => void,
  ) {
    super(id, key, options, since, () => undefined, reject);
    this.told = new Promise((resolve) => {
      this.tell = resolve;
    });
  }

  override enqueue(state: 'waiting' | 'local'): void {
    super.enqueue(state);
    this.tell();
  }

  override end(): void {
    super.end();
    this.tell();
  }
}

/**
 * A permit that whoever knows its key and id renews and releases, through this process or another one. What is known of
 * it here is for the events only, and forgotten when its lease ends.
 */
export class UnkeptPermit implements Timed {
  readonly key: string;
  readonly id: string;
  readonly weight: number;
  readonly fencingToken: number;
  wakeAt = Infinity;
  /** Until then it is certainly held, as far as this process knows. */
  deadline = Infinity;
  /** Its holder has left it to its lease: the end of that is no loss. */
  isLeft = false;

  constructor(
    readonly waiter: UnkeptWaiter,
    grant: Grant,
    readonly heldSince: number,
  ) {
    this.key = waiter.key;
    this.id = waiter.id;
    this.weight = Math.min(waiter.options.weight, grant.permits);
    this.fencingToken = grant.fencingToken;
  }

  get options(): ResolvedOptions {
    return this.waiter.options;
  }
}
