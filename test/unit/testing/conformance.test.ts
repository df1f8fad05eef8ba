import { expect, test } from '@jest/globals';
import { MemorySemaphoreStore } from 'nestjs-semaphore';
import {
  describeSemaphoreStore,
  describeSingleFlightStore,
  type StoreHarness,
} from 'nestjs-semaphore/testing';

/** After so long a message that did not come is named. */
const MESSAGE_LIMIT_MS = 5_000;

test('the conformance suite leaves itself the time to name what a store did not do', () => {
  const limits: number[] = [];
  const framework = {
    describe: (_name: string, body: () => void) => body(),
    it: (_name: string, _body: () => Promise<void>, timeoutMs: number) => limits.push(timeoutMs),
  };
  const harness: StoreHarness = {
    createStore: () => new MemorySemaphoreStore(),
    advance: () => Promise.resolve(),
  };
  describeSemaphoreStore('a store', harness, framework);
  describeSingleFlightStore('a store', harness, framework);
  expect(limits.length).toBeGreaterThan(100);
  expect(Math.min(...limits)).toBeGreaterThanOrEqual(2 * MESSAGE_LIMIT_MS);
});
