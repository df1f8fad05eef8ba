import { acquireBehaviours } from './acquire.behaviours.js';
import { forceBehaviours } from './force.behaviours.js';
import { leaseBehaviours } from './lease.behaviours.js';
import { limitBehaviours } from './limit.behaviours.js';
import { oddKeyBehaviours } from './odd-key.behaviours.js';
import { queueBehaviours } from './queue.behaviours.js';
import { releaseBehaviours } from './release.behaviours.js';
import { type Behaviours, Scene, TIMEOUT_MS } from './scene.js';
import { sessionBehaviours } from './session.behaviours.js';
import { snapshotBehaviours } from './snapshot.behaviours.js';
import type { StoreHarness, TestFramework } from './store-harness.js';
import { tokenBehaviours } from './token.behaviours.js';

const CHAPTERS: Record<string, Behaviours> = {
  acquire: acquireBehaviours,
  queue: queueBehaviours,
  lease: leaseBehaviours,
  'release and cancel': releaseBehaviours,
  limit: limitBehaviours,
  'force release': forceBehaviours,
  'inspect and list': snapshotBehaviours,
  'odd keys': oddKeyBehaviours,
  'fencing tokens': tokenBehaviours,
  sessions: sessionBehaviours,
};

/**
 * The definition of the {@link SemaphoreStore} port: a store that passes these tests can stand behind the library.
 * Runs with Jest, Vitest and `node:test`. Takes about ten seconds of real time, none on a {@link VirtualClock}.
 * @param framework `describe` and `it` of the test framework, for those that have no globals
 * @default framework the globals `describe` and `it`
 * @example
 * const clock = new VirtualClock();
 * describeSemaphoreStore('MemorySemaphoreStore', {
 *   createStore: () => new MemorySemaphoreStore({ clock }),
 *   advance: (ms) => clock.advance(ms),
 *   slackMs: 0,
 * });
 */
export function describeSemaphoreStore(
  name: string,
  harness: StoreHarness,
  framework: TestFramework = globalFramework(),
): void {
  const { describe, it } = framework;
  describe(name, () => {
    for (const [chapter, behaviours] of Object.entries(CHAPTERS)) {
      describe(chapter, () => {
        for (const [title, behaviour] of Object.entries(behaviours)) {
          it(title, () => Scene.play(harness, behaviour), TIMEOUT_MS);
        }
      });
    }
  });
}

/** Jest and Vitest with globals, `node:test` does without. */
export function globalFramework(): TestFramework {
  const { describe, it } = globalThis as Partial<TestFramework>;
  if (typeof describe === 'function' && typeof it === 'function') return { describe, it };
  throw new TypeError(
    'Expected the globals `describe` and `it`: pass those of the test framework as the third argument',
  );
}
