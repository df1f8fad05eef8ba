import { afterEach, beforeEach, expect, test } from '@jest/globals';
import {
  MemorySemaphoreStore,
  SemaphoreService,
  type StoreClient,
  type StoreSession,
} from 'nestjs-semaphore';
import { internalsOf } from '../../lib/service-internals.js';
import { nextEvent } from '../support/semaphores.js';

/** Leaves it to whoever lists keys to choose among them, as stores may. */
class TellsAll extends MemorySemaphoreStore {
  override connect(client: StoreClient): StoreSession {
    const session = super.connect(client);
    const list = session.list.bind(session);
    session.list = (pattern) => list(pattern);
    return session;
  }
}

let semaphores: SemaphoreService;

beforeEach(() => {
  semaphores = new SemaphoreService({ store: new TellsAll(), log: 'none' });
});

afterEach(() => semaphores.close());

test('of keys that are not wanted nothing is told, whatever the store tells', async () => {
  for (const key of ['mine:a', 'theirs:a']) await semaphores.acquire(key);
  const told: string[] = [];
  const isMine = (key: string): boolean => key.startsWith('mine:');
  for await (const key of internalsOf(semaphores).list('*', isMine)) told.push(key);
  expect(told).toEqual(['mine:a']);
});

test('a waiter can be dropped, a holder cannot', async () => {
  const held = await semaphores.acquire('k');
  expect(await internalsOf(semaphores).dropWaiter('k', held.id)).toBe(false);
  expect(held.isHeld).toBe(true);
  const waiting = nextEvent(semaphores, 'waiting');
  const dropped = expect(semaphores.acquire('k')).rejects.toMatchObject({ reason: 'forced' });
  expect(await internalsOf(semaphores).dropWaiter('k', (await waiting).permitId)).toBe(true);
  await dropped;
});
