import { inspect } from 'node:util';
import { expect, test } from '@jest/globals';
import { RedisSemaphoreStore, SemaphoreService, SingleFlightService } from 'nestjs-semaphore';
import { RemoteSemaphoreStore } from 'nestjs-semaphore/client';
import { createSemaphoreServer } from 'nestjs-semaphore/server';

const SECRET = 'hush-0123456789abcdef';

const server = (options: object) => () =>
  createSemaphoreServer({ ...options, semaphores: new SemaphoreService() });
const client = (options: object) => () =>
  new RemoteSemaphoreStore({ url: 'http://localhost:1', ...options });
const module = (options: object) => () => new SemaphoreService(options);

class Login {
  constructor(readonly password: string) {}
}
const flights = new SingleFlightService(new SemaphoreService());

test.each([
  ['RedisSemaphoreStore', () => new RedisSemaphoreStore({ redis: `redis://me:${SECRET}@host` })],
  ['RedisSemaphoreStore', () => new RedisSemaphoreStore({ redis: { password: SECRET } })],
  ['RemoteSemaphoreStore', client({ apiKey: SECRET, tls: { key: SECRET } })],
])('a %s that is logged shows no secret', (_, open) => {
  const store = open();
  expect(inspect(store, { depth: 9 })).not.toContain(SECRET);
  expect(JSON.stringify(store)).not.toContain(SECRET);
});

test.each([
  ['RedisSemaphoreStore', () => new RedisSemaphoreStore({ redis: { port: 1 } })],
  ['RemoteSemaphoreStore', client({})],
])('a proxy of a %s can be used as the store', async (_, open) => {
  const service = new SemaphoreService({ store: new Proxy(open(), {}), log: 'none' });
  await service.close();
});

test.each<[string, () => unknown]>([
  ['keys of the server that are no array', server({ apiKeys: SECRET })],
  ['a misspelt option of the server', server({ apiKey: SECRET })],
  ['a wrong key', server({ apiKeys: [`${SECRET} ü`] })],
  ['a key with a wrong role', server({ apiKeys: [{ key: SECRET, role: 'x' }] })],
  ['a key with a misspelt option', server({ apiKeys: [{ key: SECRET, prefix: SECRET }] })],
  ['a key that is there twice', server({ apiKeys: [SECRET, SECRET] })],
  ['a misspelt option of the client', client({ apikey: SECRET })],
  ['a wrong key of the client', client({ apiKey: `${SECRET} ü` })],
  ['TLS settings that are none', client({ tls: SECRET })],
  ['a wrong URL of the client', client({ url: `ftp://me:${SECRET}@host` })],
  ['a password with signs of a URL', client({ url: `ftp://me:a/b@${SECRET}@host` })],
  [
    'a wrong URL of Redis',
    () => new SemaphoreService({ redis: `redis://me:a/@${SECRET}@host:99999` }),
  ],
  [
    'a URL of Redis without its scheme',
    () => new SemaphoreService({ redis: `me:${SECRET}//@host` }),
  ],
  [
    'a password in the query of a URL',
    () => new SemaphoreService({ redis: `redis://host/x?password=${SECRET}` }),
  ],
  ['a URL of the client without its scheme', client({ url: `me:${SECRET}@host` })],
  ['options of Redis beside those of the module', module({ password: SECRET, redis: {} })],
  ['a misspelt option of the module', module({ redisUrl: SECRET })],
  [
    'options of Redis beside those of the store',
    () => new RedisSemaphoreStore({ redis: {}, ...{ password: SECRET } }),
  ],
  ['an argument that cannot be compared', () => flights.keyOf('login', new Login(SECRET))],
])('the error for %s tells no secret', (_, task) => {
  let error: unknown;
  try {
    task();
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toMatchObject({ code: 'SEMAPHORE_INVALID_OPTIONS' });
  expect(inspect(error, { depth: 9 })).not.toContain(SECRET);
});
