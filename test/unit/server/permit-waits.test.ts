import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { expect, jest, test } from '@jest/globals';
import type { SemaphoreService } from 'nestjs-semaphore';
import { PermitWaits } from '../../../lib/server/permit-waits.js';
import { internalsOf } from '../../../lib/service-internals.js';
import { nextEvent, Semaphores } from '../../support/semaphores.js';

const LONG_MS = 60_000;

function newResponse(): ServerResponse {
  return new ServerResponse(new IncomingMessage(new Socket()));
}

/** What a request with a requestId wants. */
function wishOf(semaphores: SemaphoreService, waitMs: number) {
  const options = internalsOf(semaphores).resolveUnkept({ waitMs });
  return { key: 'k', id: 'r', options, isShared: true };
}

test('the end of a request that was refused leaves alone who has asked anew by then', async () => {
  await using services = new Semaphores({});
  const semaphores = services.open();
  const waits = new PermitWaits(internalsOf(semaphores).permitsById, LONG_MS);
  const held = await semaphores.acquire('k');
  const enterQuota = () => () => undefined;
  const response = newResponse();
  const first = waits.attend(wishOf(semaphores, 0), response, enterQuota);
  await expect(first.granted).rejects.toThrow();
  const isQueued = nextEvent(semaphores, 'waiting');
  const second = waits.attend(wishOf(semaphores, LONG_MS), newResponse(), enterQuota);
  await isQueued;
  response.emit('close');
  await held.release();
  expect((await second.granted).weight).toBe(1);
});

test('no place is kept for a request that was refused before its answer was sent', async () => {
  await using services = new Semaphores({});
  const semaphores = services.open();
  const waits = new PermitWaits(internalsOf(semaphores).permitsById, LONG_MS);
  await semaphores.acquire('k');
  const leaveQuota = jest.fn();
  const response = newResponse();
  const attendance = waits.attend(wishOf(semaphores, 0), response, () => leaveQuota);
  attendance.postpone();
  await expect(attendance.granted).rejects.toThrow();
  response.emit('close');
  expect(leaveQuota).toHaveBeenCalledTimes(1);
});
