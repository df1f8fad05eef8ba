import type { LostReason } from '../semaphore.errors.js';
import { type Clock, systemClock } from './clock.js';
import type { SingleFlightStore } from './single-flight-store.js';

/**
 * The port: where semaphores live. One store may serve several services (in tests, several "processes").
 * Abstract class, so that one name is both type and injection token.
 *
 * A store without push (one that can only be asked) fulfils the port too: it asks from time to time and
 * calls {@link StoreClient.granted} when it learns of a grant.
 */
export abstract class SemaphoreStore {
  /** The clock that the store's deadlines are measured with, and that its users must use. */
  readonly clock: Clock = systemClock;

  /**
   * Opens a session for one process. Connects in the background: calls wait for the connection.
   * @param clientId name of the process in snapshots, where it must have a certain one: words of `[\w.-]` with colons between
   * @default a name of its own for each session
   */
  abstract connect(client: StoreClient, clientId?: string): StoreSession;
}

/**
 * What one process asks of the store. Every operation is idempotent under its permit id.
 * Operations of one turn of the event loop may travel together, and keep their order.
 *
 * Every call settles within the store's time limit; one that failed rejects with StoreUnavailableError, and what it did
 * is then unknown: {@link StoreSession.cancel} makes it certain.
 */
export interface StoreSession {
  /** Name of this process in snapshots, for example `host:pid:random`. */
  readonly clientId: string;

  /** Single flight, for a store that can do it. */
  readonly flights?: SingleFlightStore;

  /**
   * Takes a permit, or a place in the queue, or neither. Asking again under the same id gives the same permit or
   * the same place. What is asked for through another session is that session's from then on.
   * A caller that got `waiting` hears of its grant through {@link StoreClient.granted}, which may come before the reply.
   */
  acquire(request: AcquireRequest): Promise<AcquireReply>;

  /**
   * Makes certain that the id neither waits nor holds for this session, whatever became of its acquire. What another
   * session has asked for since under the same id stays.
   */
  cancel(key: string, id: string): Promise<void>;

  /**
   * Gives a permit back and hands it on.
   * @param holdAtLeastMs the permit stays taken until this long after its acquisition
   * @param lastToken the highest fencing token that was used under it, when it was more than the grant's own: see {@link TOKENS_A_GRANT}
   * @returns 'expired' when it was not held any more; 'released' when that is not known, because a call before it, whose
   * reply was lost, may have released it
   */
  release(
    key: string,
    id: string,
    holdAtLeastMs: number,
    lastToken?: number,
  ): Promise<ReleaseOutcome>;

  /**
   * Lets the lease end `leaseMs` from now, and claims a provisional grant.
   * @returns null when the permit is not held any more
   */
  renew(key: string, id: string, leaseMs: number): Promise<Lease | null>;

  /** What holds and waits now. The limit of a key is known for some seconds after its last permit. */
  inspect(key: string): Promise<StoreSnapshot>;

  /**
   * Keys that have holders or waiters now; `pattern` is a glob with `*`, `?` and `[ab]`.
   * @param isWanted of other keys the caller tells nothing: the store need not look at them, so that the time it takes tells
   *   nothing of them either
   */
  list(pattern: string, isWanted?: (key: string) => boolean): AsyncIterable<string>;

  /**
   * Pins the limit of a key, whatever callers pass, until it is cleared with null. From then on the one holds that was passed
   * last by who came to wait, or, when nobody waits, the next that is passed.
   */
  setPermits(key: string, permits: number | null): Promise<void>;

  /**
   * Takes a permit from its holder, or a waiter out of the queue.
   * @param onlyWaiting leaves a holder its permit
   * @returns false when the id does neither
   */
  forceRelease(key: string, id: string, onlyWaiting?: boolean): Promise<boolean>;

  /**
   * Asks the store for a sign of life, and waits for it `timeoutMs` at most. Rejects only when the session is closed.
   * A store may leave it out: then {@link StoreSession.inspect} is asked instead.
   */
  health?(timeoutMs: number): Promise<StoreHealth>;

  /** Ends the session and what it opened. Permits still held end with their leases. */
  close(): Promise<void>;
}

/**
 * A process may pass a permit on to others of its own and count the token up each time, by less than this. The store gives
 * no token again that may have been used so: after a permit that was not released it leaves as many out.
 */
export const TOKENS_A_GRANT = 1000;

/** What the store tells the process, at any time. None of these may throw. */
export interface StoreClient {
  /** A waiter became a holder. An id that is not known any more must be cancelled. May come twice. */
  granted(key: string, id: string, grant: Grant): void;

  /** A waiter cannot be granted. Its id must be cancelled, because its fate is unknown. */
  failed(key: string, id: string, error: Error): void;

  /**
   * A permit was released by force, or a waiter was dropped by force.
   * @param reason 'expired': the store cannot keep the permit, or may have given it to another. @default 'forced'
   */
  revoked(key: string, id: string, reason?: LostReason): void;

  /** An operation of this process changed a key's limit. */
  permitsChanged(change: PermitsChange): void;

  /** The store cannot be reached. Called once, until {@link StoreClient.up}. */
  down(error: Error): void;

  /** The store can be reached again. Waiters have been asked for again. */
  up(): void;
}

/** A request for one permit: what {@link StoreSession.acquire} takes. */
export interface AcquireRequest {
  /** Of the semaphore. */
  key: string;
  /** Unique to this acquisition, 1 to 64 characters of `[A-Za-z0-9_-]`. */
  id: string;
  /** The limit that the caller knows; the one stored last holds, unless a limit is pinned. */
  permits: number;
  /** A weight above the limit in force counts as the whole limit. */
  weight: number;
  /** Higher first. */
  priority: number;
  /** Infinity: the permit never ends by itself. */
  leaseMs: number;
  /** false: never wait. */
  wait: boolean;
  /** Queue bound; Infinity for none. */
  maxWaiting: number;
  /** For snapshots. */
  label?: string | undefined;
}

/** The store's answer to an {@link AcquireRequest}. */
export type AcquireReply =
  | {
      /** It holds a permit. */
      status: 'granted';
      /** The permit. */
      grant: Grant;
    }
  | {
      /** It stands in the queue. */
      status: 'waiting';
    }
  | {
      /** Neither, and it is forgotten. */
      status: 'busy' | 'queue-full';
      /** Milliseconds until the earliest lease ends. */
      retryAfterMs: number;
    };

/** How long a permit stays valid. */
export interface Lease {
  /** Epoch milliseconds by the store's clock; Infinity when the lease does not end. */
  expiresAt: number;
  /** By the store's `clock.now()`: until then the store has certainly not given the permit to another. */
  deadline: number;
}

/** A permit as the store gives it. */
export interface Grant extends Lease {
  /** Greater than that of every grant of the key before it. */
  fencingToken: number;
  /** Epoch milliseconds by the store's clock. */
  acquiredAt: number;
  /** The lease is a short one, in case nobody is there any more to take the permit: renew to claim it. */
  provisional: boolean;
  /** The limit in force. */
  permits: number;
  /** The id held it before this was asked. Left out when that is not known. */
  again?: boolean | undefined;
}

/** How the store is, as this process sees it. */
export interface StoreHealth {
  /** How long a round trip took, in milliseconds; undefined when none succeeded. */
  latencyMs: number | undefined;
  /** Why none succeeded. */
  error?: Error | undefined;
  /** Whether messages of the store come in; without them grants are found by asking, which takes longer. */
  isListening: boolean;
  /** Milliseconds since the store was heard last; Infinity when it never was. */
  silentMs: number;
}

/** 'expired': the permit was not held any more when it was released. */
export type ReleaseOutcome = 'released' | 'expired';

/** A limit that changed. */
export interface PermitsChange {
  /** Of the semaphore. */
  key: string;
  /** The limit from now on. */
  permits: number;
  /** undefined when the store knew of none. */
  previous: number | undefined;
  /** Set by {@link StoreSession.setPermits}, and not by a caller. */
  pinned: boolean;
}

/** What holds and waits at one moment. */
export interface SemaphoreSnapshot {
  /** Of the semaphore. */
  key: string;
  /** The limit in force; 0 when the store knows of none. */
  permits: number;
  /** Weights held in all. */
  held: number;
  /** Weights that are free. */
  available: number;
  /** Who has a permit. */
  holders: HolderSnapshot[];
  /** In the order in which they will be served. */
  waiters: WaiterSnapshot[];
}

/** What a store tells of a semaphore: with what users are shown, the moment it is of, and where its limit comes from. */
export interface StoreSnapshot extends SemaphoreSnapshot {
  /** The store's clock at that moment, in whole epoch milliseconds: what the times of the others are to be compared with. */
  now: number;
  /** The limit was set by {@link StoreSession.setPermits}, and not by a caller. */
  pinned: boolean;
}

/** What users are shown of a {@link StoreSnapshot}. */
export function withoutStoreFacts(snapshot: StoreSnapshot): SemaphoreSnapshot {
  const { now: _, pinned: __, ...shown } = snapshot;
  return shown;
}

/** A permit that is held. */
export interface HolderSnapshot {
  /** What `forceRelease` takes. */
  id: string;
  /** How many units it takes. */
  weight: number;
  /** The `label` of its options. */
  label?: string;
  /** The process: its host, its process id and a random part. */
  client: string;
  /** That of its grant. */
  fencingToken: number;
  /** Epoch milliseconds by the store's clock. */
  acquiredAt: number;
  /** Epoch milliseconds by the store's clock; Infinity when it never ends by itself. */
  expiresAt: number;
}

/** A place in the queue. */
export interface WaiterSnapshot {
  /** What `forceRelease` takes; that of the permit later. */
  id: string;
  /** How many units it waits for. */
  weight: number;
  /** Higher is served first. */
  priority: number;
  /** The `label` of its options. */
  label?: string;
  /** The process: its host, its process id and a random part. */
  client: string;
  /** Epoch milliseconds by the store's clock. */
  enqueuedAt: number;
}
