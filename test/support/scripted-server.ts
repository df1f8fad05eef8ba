import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { VirtualClock } from 'nestjs-semaphore/testing';
import { RemoteSession } from '../../lib/client/remote.session.js';
import {
  type RemoteSemaphoreStoreOptions,
  resolveRemoteOptions,
} from '../../lib/client/remote.options.js';
import type { OpenEvent, WireCall, WireGrant, WireResult } from '../../lib/store/remote/wire.js';
import type { AcquireRequest, StoreClient } from '../../lib/store/semaphore-store.js';
import { pollUntil } from './redis-admin.js';

/** How a server answers calls: with results, or by itself, when it gives undefined. */
export type Answering = (calls: WireCall[], response: ServerResponse) => WireResult[] | undefined;

const HELLO: OpenEvent = { server: 'one', now: 0, graceMs: 60_000, heartbeatMs: 60_000 };

/** What RemoteSemaphoreStore asks of a server, answered as a test tells it to. */
export class ScriptedServer implements AsyncDisposable {
  /** What came, in order: `open`, `close`, or the calls of a POST such as `release k`. */
  readonly asked: string[] = [];
  /** The calls that came. */
  readonly calls: WireCall[] = [];
  /** What it says when a stream is opened. */
  hello = HELLO;
  /** By the clock of the server. */
  now = 0;
  /** That were made so far. */
  connections = 0;
  answer: Answering = (calls) => calls.map(() => ({ value: null }));
  /** Of anything but calls; true: it is answered. */
  takes: (request: IncomingMessage, response: ServerResponse) => boolean = () => false;
  private readonly sockets = new Set<Socket>();
  private stream: ServerResponse | undefined;

  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async start(): Promise<ScriptedServer> {
    // No connection ends but by its client.
    const server = createServer({ keepAliveTimeout: 0 });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    const scripted = new ScriptedServer(server, `http://127.0.0.1:${port}`);
    server.on('connection', (socket) => {
      scripted.connections++;
      scripted.sockets.add(socket);
      socket.once('close', () => scripted.sockets.delete(socket));
    });
    server.on('request', (request, response) => void scripted.serve(request, response));
    return scripted;
  }

  get openConnections(): number {
    return this.sockets.size;
  }

  /** Resolves when so many streams were opened, and all that the last one begins with was asked for. */
  async opened(times = 1): Promise<void> {
    await pollUntil(`${times} streams`, async () => this.count('open') >= times);
  }

  count(what: string): number {
    return this.asked.filter((each) => each === what).length;
  }

  tell(event: string, data: unknown): void {
    this.stream?.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  endStream(): void {
    this.stream?.end();
  }

  /** Ends the stream, and resolves when its client has asked for what it had: these are all calls then. */
  async askedAgain(): Promise<void> {
    this.calls.length = 0;
    this.endStream();
    await pollUntil('it is asked again', async () => this.calls.length > 0);
  }

  /** From now on nobody can connect. */
  refuse(): void {
    this.server.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.close();
    this.server.closeAllConnections();
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, url } = request;
    if (this.takes(request, response)) return;
    if (method === 'POST') {
      const text = await new Response(request as unknown as ReadableStream).text();
      const { calls } = JSON.parse(text) as { calls: WireCall[] };
      this.calls.push(...calls);
      this.asked.push(calls.map(({ op, key }) => `${op} ${key}`).join(', '));
      const results = this.answer(calls, response);
      const { server } = this.hello;
      if (results) response.end(JSON.stringify({ server, now: this.now, results }));
    } else if (method === 'DELETE') {
      this.asked.push('close');
      response.writeHead(204).end();
    } else if (url === '/v1/store') {
      this.stream = response;
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      this.tell('open', { ...this.hello, now: this.now });
      this.asked.push('open');
    }
  }
}

export const request = (id: string, more: Partial<AcquireRequest> = {}): AcquireRequest => ({
  ...{ key: 'k', id, permits: 1, weight: 1, priority: 0 },
  ...{ leaseMs: 60_000, wait: true, maxWaiting: 5, ...more },
});

/** A grant, by the clock of the server. */
export function grant(now: number, leaseMs: number | null = 60_000): WireGrant {
  const deadline = leaseMs && now + leaseMs;
  const lease = { expiresAt: deadline, deadline };
  return { fencingToken: 1, acquiredAt: now, provisional: false, permits: 1, ...lease };
}

export const waits: WireResult = { value: { status: 'waiting' } };
export const nothing: WireResult = { value: null };

/** A session at servers that do as a test says, what it tells its client, and a clock that stands still. */
export class Remote implements AsyncDisposable {
  readonly told: string[] = [];
  /** Until when the grants hold that it was told of, by the clock. */
  readonly deadlines: number[] = [];
  readonly clock = new VirtualClock();
  readonly session: RemoteSession;

  constructor(servers: ScriptedServer[], options: Partial<RemoteSemaphoreStoreOptions> = {}) {
    const url = servers.map((server) => server.url);
    const resolved = resolveRemoteOptions({ url, graceMs: 60_000, ...options });
    const tell = (text: string): number => this.told.push(text);
    const client: StoreClient = {
      granted: (_, id, { deadline }) => {
        this.deadlines.push(deadline);
        tell(`granted ${id}`);
      },
      failed: (_, id, { message }) => tell(`failed ${id} ${message}`),
      revoked: (_, id, reason) => tell(`revoked ${id} ${reason ?? 'by force'}`),
      permitsChanged: () => undefined,
      down: () => tell('down'),
      up: () => tell('up'),
    };
    const identity = { clientId: 'a:1:x', headers: {} };
    this.session = new RemoteSession(client, this.clock, identity, resolved);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.session.close();
  }
}

/** Waits for I/O that the clock knows nothing of. */
export const until = (check: () => boolean): Promise<void> =>
  pollUntil('it is so', async () => check());
