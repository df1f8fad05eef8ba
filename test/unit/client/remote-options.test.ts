import { expect, test } from '@jest/globals';
import { RemoteSemaphoreStore, type RemoteSemaphoreStoreOptions } from 'nestjs-semaphore/client';
import { thrown } from '../../support/semaphores.js';

const url = 'http://localhost';
const store = (options: object): RemoteSemaphoreStore =>
  new RemoteSemaphoreStore({ url, ...options } as RemoteSemaphoreStoreOptions);

test.each<[string, object]>([
  ['url', { url: [] }],
  ['url', { url: 'redis://localhost' }],
  ['url', { url: [url, 'http://'] }],
  ['url', { url: undefined }],
  ['apiKey', { apiKey: 'with spaces' }],
  ['apiKey', { apiKey: '' }],
  ['tls', { tls: 'ca' }],
  ['tls', { tls: null }],
  ['storeTimeoutMs', { storeTimeoutMs: 0 }],
  ['storeTimeoutMs', { storeTimeoutMs: 2 ** 31 }],
  ['graceMs', { graceMs: 499 }],
  ['graceMs', { graceMs: 60_001 }],
  ['graceMs', { graceMs: '1000' }],
  ['timeoutMs', { timeoutMs: 1 }],
])('the option `%s` is refused in %j', (option, options) => {
  expect(thrown(() => store(options))).toMatchObject({ code: 'SEMAPHORE_INVALID_OPTIONS', option });
});

test('options at their bounds are taken', () => {
  for (const [storeTimeoutMs, graceMs] of [
    [1, 500],
    [2 ** 31 - 1, 60_000],
  ]) {
    expect(() => store({ url: [url, 'https://a.b/c'], storeTimeoutMs, graceMs })).not.toThrow();
  }
});
