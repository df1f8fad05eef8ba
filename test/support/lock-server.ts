import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { SemaphoreService } from 'nestjs-semaphore';
import {
  createSemaphoreServer,
  type SemaphoreServer,
  type SemaphoreServerParts,
} from 'nestjs-semaphore/server';

export const ADMIN_KEY = 'admin-key-0123456789';

export interface HttpAnswer {
  status: number;
  headers: Headers;
  body: Record<string, unknown>;
}

/** Asks a lock server, wherever it runs. */
export class LockClient {
  constructor(
    readonly url: string,
    private readonly apiKey = ADMIN_KEY,
  ) {}

  /** @param apiKey empty for none */
  with(apiKey: string): LockClient {
    return new LockClient(this.url, apiKey);
  }

  async call(
    method: string,
    path: string,
    body?: unknown,
    init: { headers?: Record<string, string>; signal?: AbortSignal } = {},
  ): Promise<HttpAnswer> {
    const response = await fetch(this.url + path, {
      method,
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(init.signal && { signal: init.signal }),
      headers: {
        ...(this.apiKey !== '' && { 'x-api-key': this.apiKey }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...init.headers,
      },
    });
    const { status, headers: answered } = response;
    const text = await response.text();
    const isJson = answered.get('content-type')?.startsWith('application/json;') === true;
    return { status, headers: answered, body: isJson ? JSON.parse(text) : {} };
  }

  acquire(
    key: string,
    body: unknown = {},
    init?: { headers?: Record<string, string>; signal?: AbortSignal },
  ): Promise<HttpAnswer> {
    return this.call('POST', `${pathOf(key)}/permits`, body, init);
  }

  renew(key: string, id: unknown, leaseMs: number): Promise<HttpAnswer> {
    return this.call('PUT', `${pathOf(key)}/permits/${String(id)}`, { leaseMs });
  }

  release(key: string, id: unknown, query = ''): Promise<HttpAnswer> {
    return this.call('DELETE', `${pathOf(key)}/permits/${String(id)}${query}`);
  }

  inspect(key: string): Promise<HttpAnswer> {
    return this.call('GET', pathOf(key));
  }

  /** Opens a stream of events. */
  async stream(path: string, headers: Record<string, string> = {}): Promise<EventReader> {
    const controller = new AbortController();
    const response = await fetch(this.url + path, {
      signal: controller.signal,
      headers: { ...(this.apiKey !== '' && { 'x-api-key': this.apiKey }), ...headers },
    });
    if (response.status !== 200 || response.body === null) {
      controller.abort();
      throw new Error(`${path} answered ${response.status}`);
    }
    return new EventReader(response.body, controller);
  }

  /** @param wanted the session to go on with */
  async openSession(
    wanted?: string,
  ): Promise<{ stream: EventReader; id: string; headers: Record<string, string> }> {
    const stream = await this.stream('/v1/sessions', wanted ? { 'x-session-id': wanted } : {});
    const id = String((await stream.until('session'))['id']);
    return { stream, id, headers: { 'x-session-id': id } };
  }
}

/** Reads server-sent events. */
export class EventReader {
  private readonly decoder = new TextDecoder();
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  private text = '';

  constructor(
    stream: ReadableStream<Uint8Array>,
    private readonly controller: AbortController,
  ) {
    this.reader = stream.getReader();
  }

  /** The next event; undefined when the server has ended the stream. */
  async next(): Promise<{ event: string; data: Record<string, unknown> } | undefined> {
    for (;;) {
      const end = this.text.indexOf('\n\n');
      if (end >= 0) {
        const block = this.text.slice(0, end);
        this.text = this.text.slice(end + 2);
        const event = /^event: (.*)$/m.exec(block)?.[1];
        const data = /^data: (.*)$/m.exec(block)?.[1];
        if (event !== undefined && data !== undefined) return { event, data: JSON.parse(data) };
        continue;
      }
      const { value, done } = await this.reader.read();
      if (done) return undefined;
      this.text += this.decoder.decode(value, { stream: true });
    }
  }

  /** The next event of this type. */
  async until(type: string): Promise<Record<string, unknown>> {
    for (;;) {
      const next = await this.next();
      if (next === undefined) throw new Error(`the stream ended before "${type}"`);
      if (next.event === type) return next.data;
    }
  }

  /** Breaks the connection. */
  close(): void {
    this.controller.abort();
    this.reader.closed.catch(() => undefined);
  }
}

/** A lock server in this process. */
export class LockServer extends LockClient implements AsyncDisposable {
  private constructor(
    url: string,
    private readonly server: SemaphoreServer,
    readonly http: Server,
  ) {
    super(url);
  }

  static async start(
    semaphores: SemaphoreService,
    options: Omit<SemaphoreServerParts, 'semaphores'> = {},
    host = '127.0.0.1',
  ): Promise<LockServer> {
    const server = createSemaphoreServer({ semaphores, apiKeys: [ADMIN_KEY], ...options });
    const http = createServer(server.handler);
    http.listen(0, host);
    await once(http, 'listening');
    const { port } = http.address() as AddressInfo;
    return new LockServer(`http://127.0.0.1:${port}`, server, http);
  }

  /** As an application does that shuts down: who is connected gets an answer. */
  async shutDown(): Promise<void> {
    await this.server.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.close();
    this.http.closeAllConnections();
    this.http.close();
  }
}

function pathOf(key: string): string {
  return `/v1/semaphores/${encodeURIComponent(key)}`;
}
