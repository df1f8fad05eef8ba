import { expect, test } from '@jest/globals';
import { StoreUnavailableError } from '../../../lib/semaphore.errors.js';
import { SemaphoreService } from '../../../lib/semaphore.service.js';
import { internalsOf } from '../../../lib/service-internals.js';
import { ScriptedStore } from './scripted-store.js';

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
