import connect from 'connect';
import express from 'express';
import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { type AddressInfo, connect as connectTo, type Socket } from 'node:net';

type Next = (error?: unknown) => void;
export type Handler = (request: IncomingMessage, response: ServerResponse, next: Next) => unknown;
export type ErrorHandler = (
  error: unknown,
  request: IncomingMessage,
  response: ServerResponse,
  next: Next,
) => unknown;

/** What Express and a plain Connect chain have in common. */
export interface Chain {
  use(handler: Handler | ErrorHandler): unknown;
}

export const chains = [
  { framework: 'Express 5', createChain: () => express() as unknown as Chain & RequestListener },
  { framework: 'Connect', createChain: () => connect() as unknown as Chain & RequestListener },
];

export type CreateChain = (typeof chains)[number]['createChain'];

/** A server of a chain of middleware. */
export class ChainServer implements AsyncDisposable {
  private constructor(
    private readonly server: Server,
    readonly port: number,
  ) {}

  static async start(
    createChain: CreateChain,
    handlers: readonly Handler[],
    onError?: ErrorHandler,
  ): Promise<ChainServer> {
    const chain = createChain();
    for (const handler of handlers) chain.use(handler);
    if (onError !== undefined) chain.use(onError);
    const server = createServer(chain).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new ChainServer(server, (server.address() as AddressInfo).port);
  }

  fetch(path = '/', init?: RequestInit): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.port}${path}`, init);
  }

  /** A connection over which a test writes requests by hand. */
  async connect(): Promise<Socket> {
    const socket = connectTo(this.port, '127.0.0.1');
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    return socket;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.server.close(), 'close');
    this.server.closeAllConnections();
    await closed;
  }
}
