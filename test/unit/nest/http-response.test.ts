import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { describe, expect, jest, test } from '@jest/globals';
import { connectionOf, onceSentOrClosed, responseOf } from '../../../lib/nest/http-response.js';

/** What the context of an operation is over a WebSocket, by driver. */
const carriers: [driver: string, carrierOf: (request: object) => object][] = [
  ['Apollo', (request) => ({ req: { extra: { request } } })],
  ['Apollo, with a context of the application', (request) => ({ extra: { request } })],
  ['Mercurius', (raw) => ({ reply: { request: { raw } }, request: { raw } })],
];

/** What the context of an operation over HTTP is, by driver. */
const answering: [driver: string, carrierOf: (response: object) => object][] = [
  ['Apollo on Express', (res) => ({ req: { res } })],
  ['Apollo, with a context of the application', (res) => ({ res })],
  ['Mercurius', (raw) => ({ reply: { raw } })],
];

test.each(answering)('the response of a GraphQL operation is found: %s', (_driver, carrierOf) => {
  const response = new PassThrough();
  const context = new ExecutionContextHost([undefined, {}, carrierOf(response), {}]);
  context.setType('graphql');
  expect(responseOf(context)).toBe(response);
});

test('a response that many wait for has one listener, and all hear that it was sent', () => {
  // As some adapters for servers without connections: 'close' never comes.
  const response = Object.assign(new EventEmitter(), { destroyed: false });
  const listeners = Array.from({ length: 11 }, () => jest.fn());
  const stops = listeners.map((listener) => onceSentOrClosed(response, listener));
  expect(response.listenerCount('close')).toBe(1);
  stops[0]?.();
  response.emit('finish');
  expect(listeners.map((listener) => listener.mock.calls.length)).toEqual([
    0,
    ...Array(10).fill(1),
  ]);
});

test('who asks between the end of an answer over HTTP/2 and that of its stream hears of that', () => {
  const stream = { destroyed: false };
  const response = Object.assign(new EventEmitter(), { stream, writableFinished: true });
  onceSentOrClosed(response, jest.fn());
  response.emit('finish');
  const late = jest.fn();
  onceSentOrClosed(response, late);
  expect(late).not.toHaveBeenCalled();
  response.emit('close');
  expect(late).toHaveBeenCalledTimes(1);
});

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
