import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { SemaphoreStore } from '../../store/semaphore-store.js';
import { Peer } from './peer.js';
import type { StoreHarness } from './store-harness.js';

/** Behaviours of the port by title. */
export type Behaviours = Record<string, (scene: Scene) => Promise<void>>;

/** Short enough to wait for, long enough for a busy machine to do something before it ends. */
export const SHORT_MS = 200;

/** Long enough to say which message of the store did not come, where a framework's own limit is not. */
export const TIMEOUT_MS = 30_000;

/** Rounding of a store that counts whole milliseconds. */
export const ROUNDING_MS = 2;

/** What one test plays with: a store, processes that use it, and time. */
export class Scene {
  /** In every key of this test and in no other. */
  readonly tag = randomUUID().slice(0, 13);
  readonly key = `key:${this.tag}`;
  private readonly peers: Peer[] = [];

  private constructor(
    private readonly harness: StoreHarness,
    readonly store: SemaphoreStore,
  ) {}

  static async play(
    harness: StoreHarness,
    behaviour: (scene: Scene) => Promise<void>,
  ): Promise<void> {
    const store = await harness.createStore();
    const scene = new Scene(harness, store);
    try {
      await behaviour(scene);
    } finally {
      await Promise.all(scene.peers.map((peer) => peer.session.close()));
      await harness.dispose?.(store);
    }
  }

  /** Another process. */
  readonly join = (): Peer => {
    const peer = new Peer(this.store);
    this.peers.push(peer);
    return peer;
  };

  readonly advance = (ms: number): Promise<void> => this.harness.advance(ms);

  /** Checks that something due at `deadline` came neither early nor late. */
  readonly assertOnTime = (at: number, deadline: number): void => {
    const lateMs = at - deadline;
    assert.ok(lateMs >= 0, `it came ${-lateMs} ms early`);
    assert.ok(lateMs <= (this.harness.slackMs ?? 250) + ROUNDING_MS, `it came ${lateMs} ms late`);
  };
}

export function assertNear(actual: number, expected: number, tolerance = ROUNDING_MS): void {
  const isNear = actual === expected || Math.abs(actual - expected) <= tolerance;
  assert.ok(isNear, `expected ${expected} give or take ${tolerance}, got ${actual}`);
}

/** @throws when there are fewer */
export function at<T>(items: readonly T[], index: number): T {
  const item = items[index];
  assert.ok(item !== undefined, `expected more than ${index} items, got ${items.length}`);
  return item;
}

export function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}
