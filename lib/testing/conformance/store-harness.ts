import type { SemaphoreStore } from '../../store/semaphore-store.js';

/** How the conformance suite gets at a store, and at time. */
export interface StoreHarness {
  /** Called for every test. Stores may share one server: each test uses keys of its own. */
  createStore(): SemaphoreStore | Promise<SemaphoreStore>;

  /**
   * Lets `ms` milliseconds pass, by the store's clock: really, or on a {@link VirtualClock}. It is not called while a store is
   * to hand a permit on, so one that asks for its grants from time to time needs a real clock.
   */
  advance(ms: number): Promise<void>;

  /**
   * By how many milliseconds what is due may come late.
   * @default 250
   */
  slackMs?: number | undefined;

  /** Called after every test, when all sessions are closed. */
  dispose?(store: SemaphoreStore): void | Promise<void>;
}

/** What the suite needs of Jest, Vitest or `node:test`. */
export interface TestFramework {
  /** Groups tests. */
  describe(name: string, body: () => void): unknown;
  /**
   * Makes one test.
   * @param timeoutMs how long it may take; `node:test`, which has no limit of its own, does without
   */
  it(name: string, body: () => Promise<void>, timeoutMs: number): unknown;
}
