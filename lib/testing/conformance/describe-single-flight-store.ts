import { flightBehaviours } from './flight.behaviours.js';
import { globalFramework } from './describe-semaphore-store.js';
import { Scene, TIMEOUT_MS } from './scene.js';
import type { StoreHarness, TestFramework } from './store-harness.js';

/**
 * The definition of {@link SingleFlightStore}, for stores whose sessions have `flights`. They pass `describeSemaphoreStore` too.
 * Takes about three seconds of real time, none on a {@link VirtualClock}.
 * @param framework `describe` and `it` of the test framework, for those that have no globals
 * @default framework the globals `describe` and `it`
 */
export function describeSingleFlightStore(
  name: string,
  harness: StoreHarness,
  framework: TestFramework = globalFramework(),
): void {
  const { describe, it } = framework;
  describe(`${name}: single flight`, () => {
    for (const [title, behaviour] of Object.entries(flightBehaviours)) {
      it(title, () => Scene.play(harness, behaviour), TIMEOUT_MS);
    }
  });
}
