import type { ServerResponse } from 'node:http';
import type { HttpProblem } from '../http/http-problem.js';

/** Says to a person why there is nothing to see. Its texts are ours: nothing of the request is in it. */
export function sendRefusalPage(
  response: ServerResponse,
  { statusCode, message, headers }: HttpProblem,
): void {
  const html = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="color-scheme" content="light dark" />
    <title>Semaphores: ${statusCode}</title>
  </head>
  <body>
    <main>
      <h1>Semaphores</h1>
      <p>${escaped(message)}</p>
    </main>
  </body>
</html>
`;
  response.writeHead(statusCode, {
    'content-type': 'text/html; charset=utf-8',
    'content-length': Buffer.byteLength(html),
    'cache-control': 'no-store',
    ...headers,
  });
  response.end(response.req.method === 'HEAD' ? undefined : html);
}

function escaped(text: string): string {
  return text.replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`);
}
