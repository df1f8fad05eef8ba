import type { IncomingMessage, ServerResponse } from 'node:http';

export interface EventStreamOptions {
  /** How long a client should wait before it connects again, in milliseconds. @default 1000 */
  retryMs?: number;
  /** How often a comment is sent when nothing else is, in milliseconds: a proxy closes what is silent. @default 15_000 */
  heartbeatMs?: number;
  /** A client that leaves so many bytes unread is disconnected. @default 1_000_000 */
  maxUnreadBytes?: number;
}

/** Server-sent events to one client, until either side ends it. */
export class EventStream {
  /** Aborted when the client is gone or the stream was closed. */
  readonly closed: AbortSignal;

  private readonly controller = new AbortController();
  private readonly heartbeat: NodeJS.Timeout;
  private readonly maxUnreadBytes: number;

  constructor(
    request: IncomingMessage,
    private readonly response: ServerResponse,
    { retryMs = 1000, heartbeatMs = 15_000, maxUnreadBytes = 1_000_000 }: EventStreamOptions = {},
  ) {
    this.closed = this.controller.signal;
    this.maxUnreadBytes = maxUnreadBytes;
    request.socket.setNoDelay(true);
    request.socket.setTimeout(0);
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store, no-transform',
      'x-accel-buffering': 'no',
    });
    this.heartbeat = setInterval(() => this.write(':\n\n'), heartbeatMs);
    this.heartbeat.unref();
    response.once('close', () => this.end());
    response.once('error', () => this.end());
    if (response.destroyed) this.end();
    else this.write(`retry: ${retryMs}\n\n`);
  }

  /** @param data anything that JSON can say */
  send(event: string, data: unknown, id?: string): void {
    const idLine = id === undefined ? '' : `id: ${id}\n`;
    this.write(`${idLine}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  /** Ends the answer. */
  close(): void {
    this.end();
    this.response.end();
  }

  private write(text: string): void {
    if (this.closed.aborted) return;
    this.response.write(text);
    if (this.response.writableLength > this.maxUnreadBytes) this.response.destroy();
  }

  private end(): void {
    clearInterval(this.heartbeat);
    this.controller.abort();
  }
}
