import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import * as http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { expect, test } from '@jest/globals';
import { AssetFiles } from '../../../lib/dashboard/asset-files.js';
import { sendRefusalPage } from '../../../lib/dashboard/refusal-page.js';
import { HttpProblem } from '../../../lib/http/http-problem.js';

const answers: Record<string, (request: IncomingMessage, response: ServerResponse) => unknown> = {
  'a file': (request, response) => new AssetFiles().send('app.js', request, response),
  'a refusal': (_, response) => sendRefusalPage(response, new HttpProblem(403, 'NO', 'No.')),
};

test.each(Object.keys(answers))('HEAD over HTTP/2 gets the headers of %s alone', async (what) => {
  const errors: unknown[] = [];
  const server = http2.createServer((request, response) => {
    response.stream.on('error', (error: unknown) => errors.push(error));
    answers[what]?.(request as unknown as IncomingMessage, response as unknown as ServerResponse);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const client = http2.connect(`http://127.0.0.1:${port}`);
  const asking = client.request({ ':method': 'HEAD', ':path': '/' });
  const [headers] = await once(asking, 'response');
  expect(Number(headers['content-length'])).toBeGreaterThan(100);
  await once(asking.resume(), 'close');
  client.close();
  server.close();
  await once(server, 'close');
  expect(errors).toEqual([]);
});
