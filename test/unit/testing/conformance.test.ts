import { expect, test } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { MemorySemaphoreStore } from 'nestjs-semaphore';
import {
  describeSemaphoreStore,
  describeSingleFlightStore,
  type StoreHarness,
} from 'nestjs-semaphore/testing';
import { Peer } from '../../../lib/testing/conformance/peer.js';

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

test('the conformance suite waits for a store that serves its queue slowly, as one that polls does', async () => {
  const peer = new Peer(new MemorySemaphoreStore(), 700);
  const { grant } = await peer.hold('key');
  const last = peer.grant('14');
  for (let served = 0; served < 15; served++) {
    await delay(60);
    peer.granted('key', `${served}`, grant);
  }
  expect(await last).toBe(grant);
  await expect(peer.grant('15')).rejects.toThrow('15 should have been granted');
  await peer.session.close();
});
