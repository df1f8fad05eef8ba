import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { MemorySemaphoreStore } from 'nestjs-semaphore';
import { VirtualClock } from 'nestjs-semaphore/testing';
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

test('a lock that lasts for long is not called lost, or released, while it is held', async () => {
  const clock = new VirtualClock();
  await using services = new Semaphores({ store: new MemorySemaphoreStore({ clock }) });
  const semaphores = services.open();
  const events: string[] = [];
  semaphores.events.subscribe(({ type }) => events.push(type));
  await using server = await LockServer.start(semaphores);
  const lost = await telemetry.value('semaphore_lost_total');
  const lock = { uid: 'u', keys: 'k', exp: 3_600_000 };
  expect((await server.call('POST', '/lock', lock)).status).toBe(200);
  await clock.advance(3_000_000);
  expect((await server.call('POST', '/check', { keys: 'k' })).body).toEqual({ locked: true });
  expect(events).toEqual(['acquired']);
  expect(await telemetry.value('semaphore_lost_total')).toBe(lost);
});
