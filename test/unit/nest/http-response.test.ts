import { PassThrough } from 'node:stream';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { describe, expect, test } from '@jest/globals';
import { connectionOf } from '../../../lib/nest/http-response.js';

/** What the context of an operation is over a WebSocket, by driver. */
const carriers: [driver: string, carrierOf: (request: object) => object][] = [
  ['Apollo', (request) => ({ req: { extra: { request } } })],
  ['Apollo, with a context of the application', (request) => ({ extra: { request } })],
  ['Mercurius', (raw) => ({ reply: { request: { raw } }, request: { raw } })],
];

describe('what closes when the client of a GraphQL operation disconnects', () => {
  test.each(carriers)('is the connection of its WebSocket: %s', (_driver, carrierOf) => {
    const socket = new PassThrough();
    const context = new ExecutionContextHost([undefined, {}, carrierOf({ socket }), {}]);
    context.setType('graphql');
    expect(connectionOf(context)).toBe(socket);
  });

  test('is not known without a request', () => {
    const context = new ExecutionContextHost([undefined, {}, { user: 'u' }, {}]);
    context.setType('graphql');
    expect(connectionOf(context)).toBeUndefined();
  });
});
