import type { StopTimer } from '../clock.js';
import type { StoreClient } from '../semaphore-store.js';

/** The session that a holder or waiter belongs to. */
export interface Owner {
  readonly clientId: string;
  /** Tells the client, or who leads and follows its flights, after the operation that causes it has returned. */
  tell(message: (client: StoreClient, flights: FlightListener) => void): void;
}

/** Hears of single flights that its process leads or waits for. */
export interface FlightListener {
  published(key: string, token: number, payload: string): void;
  forgotten(key: string): void;
}

/** What a key needs of its store. Times are those of `clock.now()`. */
export interface Host {
  toEpoch(time: number): number;
  nextToken(now: number): number;
  /** Tokens up to this one may have been used. */
  noteToken(token: number): void;
  /** Lets the key look at its leases again, `delayMs` from now. */
  wake(key: string, delayMs: number): StopTimer;
}
