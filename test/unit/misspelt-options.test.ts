import { describe, expect, test } from '@jest/globals';
import { resolveRemoteOptions } from '../../lib/client/remote.options.js';
import { resolveDashboardOptions } from '../../lib/dashboard/dashboard.options.js';
import { resolveServerOptions } from '../../lib/server/server.options.js';
import { ApiKeys } from '../../lib/server/api-keys.js';
import {
  Semaphore,
  semaphoreMiddleware,
  SemaphoreModule,
  SemaphoreService,
  SingleFlight,
  SingleFlightService,
} from 'nestjs-semaphore';
import { thrown } from '../support/semaphores.js';

const KEY = 'of-somebody-0123456789';

const misspelt = [
  {
    where: 'the lock server',
    resolve: () => resolveServerOptions({ apiKey: [KEY] } as object),
    message: /^Expected `apiKey` to be left out: .* Did you mean `apiKeys`\? There are apiKeys, /,
  },
  {
    where: 'an API key',
    resolve: () => new ApiKeys([{ key: KEY, prefix: [KEY] } as never]),
    message: /^Expected `apiKeys\[0\]\.prefix` to be left out: .* Did you mean `prefixes`\?/,
  },
  {
    where: 'the client',
    resolve: () => resolveRemoteOptions({ url: 'http://localhost', apikey: KEY } as never),
    message:
      /^Expected `apikey` to be left out: .* Did you mean `apiKey`\? There are url, apiKey, /,
  },
  {
    where: 'the dashboard',
    resolve: () => resolveDashboardOptions({ readonly: KEY } as object),
    message: /^Expected `readonly` to be left out: .* Did you mean `readOnly`\?/,
  },
  {
    where: 'the dashboard, cut short',
    resolve: () => resolveDashboardOptions({ auth: () => true } as object),
    message: /^Expected `auth` to be left out: .* Did you mean `authorize`\?/,
  },
];

describe.each(misspelt)('a misspelt option of $where', ({ resolve, message }) => {
  test('is refused by a message that names the right one', () => {
    expect(resolve).toThrow(message);
  });
});

const semaphores = new SemaphoreService({ log: 'none' });
const flights = new SingleFlightService(semaphores);

function decorate(decorator: MethodDecorator): void {
  class Jobs {
    async run(): Promise<void> {}
  }
  const descriptor = Object.getOwnPropertyDescriptor(Jobs.prototype, 'run')!;
  decorator(Jobs.prototype, 'run', descriptor as TypedPropertyDescriptor<never>);
}

const places: [where: string, take: (options: object) => unknown, own: string[]][] = [
  ['@Semaphore()', (options) => decorate(Semaphore(options)), ['key', 'onUnavailable', 'permits']],
  ['@SingleFlight()', (options) => decorate(SingleFlight(options)), ['key', 'ttlMs']],
  ['wrap()', (options) => flights.wrap(decorate, options), ['key', 'ttlMs']],
  [
    'semaphoreMiddleware()',
    (options) => semaphoreMiddleware(semaphores, options),
    ['key', 'acquireOnStart', 'releaseOnEnd', 'permits'],
  ],
  [
    'forFeature()',
    (options) => SemaphoreModule.forFeature([{ ...options, name: 'a' }]),
    ['permits', 'name'],
  ],
];

describe.each(places)('%s', (_, take, own) => {
  test.each(own)('says that %s was meant, and lists only what it takes', (name) => {
    for (const misspelt of [`${name}x`, `${name[0]?.toUpperCase()}${name.slice(1)}`]) {
      const error = thrown(() => take({ [misspelt]: 'a' }));
      expect(error).toMatchObject({ code: 'SEMAPHORE_INVALID_OPTIONS', option: misspelt });
      const { message } = error as Error;
      expect(message).toContain(`Did you mean \`${name}\`?`);
      const listed = /There are (.*), got/.exec(message)?.[1]?.split(', ');
      expect(listed).toEqual(expect.arrayContaining(own));
      expect(listed).not.toContain('signal');
    }
  });

  test('refuses the signal of a single call', () => {
    const { signal } = new AbortController();
    expect(() => take({ signal })).toThrow('`signal` to be left out: it is of a single call only');
  });
});

test('an option that is undefined counts as left out', () => {
  const options = { url: 'http://localhost', secret: undefined } as never;
  expect(resolveRemoteOptions(options)).toMatchObject({ timeoutMs: 5000 });
});
