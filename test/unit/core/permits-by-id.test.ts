import { expect, test } from '@jest/globals';
import { StoreUnavailableError } from '../../../lib/semaphore.errors.js';
import { SemaphoreService } from '../../../lib/semaphore.service.js';
import { internalsOf } from '../../../lib/service-internals.js';
import type { AcquireReply } from '../../../lib/store/semaphore-store.js';
import { type Call, ScriptedStore } from './scripted-store.js';

test('an id is not asked for again while a cancel of it that failed is being tried once more', async () => {
  const store = new ScriptedStore();
  const internals = internalsOf(new SemaphoreService({ store, log: 'none' }));
  const { permitsById } = internals;
  const options = internals.resolveUnkept({});
  const acquire = (): Promise<unknown> => permitsById.acquire('k', 'id', options);
  const away = new StoreUnavailableError('away');
  const granted = acquire();
  (await store.take('acquire')).answer({ status: 'granted', grant: store.grant() });
  await granted;
  permitsById.takeBack('k', 'id');
  (await store.take('cancel')).fail(away);
  await store.clock.advance(1000);
  const cancel = await store.take('cancel');

  const again = acquire();
  await store.clock.advance(0);
  expect(store.count('acquire')).toBe(0);
  cancel.fail(away);
  await expect(again).rejects.toThrow('still being taken back');
  await store.clock.advance(1000);
  (await store.take('cancel')).answer();
  const last = acquire();
  (await store.take('acquire')).answer({ status: 'granted', grant: store.grant() });
  expect(await last).toMatchObject({ again: false });
});

test('a permit that was asked for again does not end with the lease that was known before', async () => {
  const store = new ScriptedStore();
  const semaphores = new SemaphoreService({ store, log: 'none' });
  const types: string[] = [];
  semaphores.events.subscribe(({ type, permitId }) => permitId === 'id' && types.push(type));
  const internals = internalsOf(semaphores);
  const { permitsById } = internals;
  const options = internals.resolveUnkept({});
  const ask = async (id: string): Promise<[Call<'acquire'>, Promise<unknown>]> => {
    const granted = permitsById.acquire('k', id, options);
    return [await store.take('acquire'), granted];
  };
  const grant = (leaseMs: number): AcquireReply => ({
    status: 'granted',
    grant: store.grant(leaseMs),
  });
  for (const [id, leaseMs] of [
    ['other', 900],
    ['id', 1000],
  ] as const) {
    const [call, granted] = await ask(id);
    call.answer(grant(leaseMs));
    await granted;
  }
  // From the end of the other one's lease on it is known what ends next.
  await store.clock.advance(900);

  const [call, again] = await ask('id');
  await store.clock.advance(200);
  call.answer(grant(30_000));
  await store.clock.advance(0);
  expect(types).toEqual(['acquired', 'acquired']);
  await again;
  const released = permitsById.release('k', 'id');
  (await store.take('release')).answer('released');
  await released;
  expect(types).toEqual(['acquired', 'acquired', 'released']);
});
