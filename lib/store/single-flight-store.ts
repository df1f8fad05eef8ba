/**
 * What a store that can do single flight does besides semaphores, as {@link StoreSession.flights}. A flight's leader holds
 * the permit of a semaphore of one permit, its followers wait for it in the queue; here is kept what leaders published.
 *
 * Issued in one turn of the event loop, {@link look} and the acquire of the same key after it are one atomic step,
 * and so are {@link publish} and the release after it. Results are text: what is in it is the caller's to know.
 */
export interface SingleFlightStore {
  /** Longer results, in UTF-8, cannot be published. @default Infinity */
  readonly maxResultBytes?: number;

  /**
   * Whom to tell of publications that somebody of this process waited for; and of keys that another process forgot while this
   * one led or waited: who asks from then on waits for the next leader. Called once, before anything else.
   */
  listen(published: PublicationListener, forgotten: (key: string) => void): void;

  /**
   * What is stored for the key.
   * @param seen the token of {@link FlightLook} that the caller knows already: a later result is 'missed', however old
   */
  look(key: string, seen?: number): Promise<FlightLook>;

  /**
   * Gives the result of the permit's holder to all who wait for the permit, takes them out of its queue, and keeps it for
   * later callers. Does nothing when the permit is not held any more, or a later holder has published.
   * @returns whether it was published
   */
  publish(key: string, publication: Publication): Promise<boolean>;

  /**
   * Drops what is stored. What a leader that works now will publish goes to those who wait for it already, and is
   * not kept; who comes later waits for the next leader.
   */
  forget(key: string): Promise<void>;
}

/**
 * Hears of what leaders publish.
 * @param payload undefined when it is too long for a message: look for it
 */
export type PublicationListener = (key: string, token: number, payload: string | undefined) => void;

/**
 * none: nothing that the caller may use · fresh: use it · stale: use it, and let somebody make a new one ·
 * missed: published since the caller looked last
 */
export type FlightLookState = 'none' | 'fresh' | 'stale' | 'missed';

/**
 * The state of a result that is stored and can be used. All times are of one clock.
 * @param seen as in {@link SingleFlightStore.look}
 */
export function stateOfResult(
  { token, freshUntil, usableUntil }: { token: number; freshUntil: number; usableUntil: number },
  now: number,
  seen: number,
): FlightLookState {
  if (freshUntil > now) return 'fresh';
  if (token > seen) return 'missed';
  return usableUntil > now ? 'stale' : 'none';
}

/** What is stored of a flight, and who is at work. */
export interface FlightLook {
  /** Whether there is something to use. */
  state: FlightLookState;
  /** Empty when there is nothing to use. */
  payload: string;
  /**
   * Until when the last publication was fresh, by the session's `clock.now()`, at the earliest, also when that is over: a call
   * may have been under way to the store for long. 0 when none is known.
   */
  freshUntil: number;
  /** Fencing token of the last publication, or of what made it void; 0 when none is known. */
  token: number;
  /** Somebody holds the key's permit. */
  isLed: boolean;
  /** How many wait for it. */
  waiting: number;
  /** Epoch milliseconds by the store's clock. */
  at: number;
}

/** What a leader gives to the others. */
export interface Publication {
  /** Of the leader. */
  permitId: string;
  /** Begins with a letter. */
  payload: string;
  /** For those who wait now, in place of a payload that proves to be too long for the way to the store. */
  substitute?: string;
  /** For how long it is fresh, in milliseconds. 0: for those only who wait now. */
  freshMs: number;
  /** For how long it may still be used after that, in milliseconds. */
  staleMs: number;
}

/** A result outlives its freshness by this: a follower whose connection broke asks for it. */
export const KEEP_AT_LEAST_MS = 10_000;

/** For how long the result of a run that is under way stays void after {@link SingleFlightStore.forget}. */
export const FORGOTTEN_MS = 24 * 60 * 60 * 1000;
