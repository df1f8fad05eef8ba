import { describe, expect, test } from '@jest/globals';
import { resolveRemoteOptions } from '../../lib/client/remote.options.js';
import { resolveDashboardOptions } from '../../lib/dashboard/dashboard.options.js';
import { resolveServerOptions } from '../../lib/server/server.options.js';
import { ApiKeys } from '../../lib/server/api-keys.js';

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
];

describe.each(misspelt)('a misspelt option of $where', ({ resolve, message }) => {
  test('is refused by a message that names the right one', () => {
    expect(resolve).toThrow(message);
  });
});

test('an option that is undefined counts as left out', () => {
  const options = { url: 'http://localhost', secret: undefined } as never;
  expect(resolveRemoteOptions(options)).toMatchObject({ timeoutMs: 5000 });
});
