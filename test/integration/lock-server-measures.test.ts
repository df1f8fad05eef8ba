import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { LockServer } from '../support/lock-server.js';
import { Semaphores } from '../support/semaphores.js';
import { Telemetry } from '../support/telemetry.js';

let telemetry: Telemetry;

beforeAll(async () => {
  telemetry = await Telemetry.start();
});

afterAll(() => telemetry[Symbol.asyncDispose]());

test('what a session notes in the store is neither measured nor an event', async () => {
  await using services = new Semaphores({});
  const semaphores = services.open();
  const keys = new Set<string | undefined>();
  semaphores.events.subscribe(({ key }) => keys.add(key));
  await using server = await LockServer.start(semaphores, { sessionGraceMs: 5000 });
  const { stream, headers } = await server.openSession();
  const { body } = await server.acquire('k', {}, { headers });
  expect(await telemetry.value('semaphore_permits_held')).toBe(1);
  expect(await telemetry.value('semaphore_acquired_total')).toBe(1);
  await server.release('k', body['id']);
  expect(await telemetry.value('semaphore_permits_held')).toBe(0);
  expect(await telemetry.value('semaphore_hold_duration_count')).toBe(1);
  expect(keys).toEqual(new Set(['k']));
  stream.close();
});
