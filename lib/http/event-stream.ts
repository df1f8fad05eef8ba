import type { IncomingMessage, ServerResponse } from 'node:http';
import { isHungUp } from './hang-ups.js';

/** How long a client should wait before it connects again. */
const RETRY_MS = 1000;
/** A client that leaves so many bytes unread for {@link SLOW_MS} is disconnected. */
const MAX_UNREAD_BYTES = 1_000_000;
const SLOW_MS = 10_000;
/** One that leaves so many unread is disconnected at once. Much less may come in one turn, in which nobody can read. */
const MAX_BURST_BYTES = 64_000_000;

/** One event, as it is sent. */
export function eventText(event: string, data: unknown): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** Server-sent events to one client, until either side ends it. */
export class EventStream {
  private readonly controller = new AbortController();
  private heartbeat: NodeJS.Timeout | undefined;
  /** Runs while the event that was one too many is unread. */
  private tooSlow: NodeJS.Timeout | undefined;
  /** Begins the first event. */
  private opening = `retry: ${RETRY_MS}\n`;

  /** @param heartbeatMs how often a comment is sent: a proxy closes what is silent */
  constructor(
    request: IncomingMessage,
    private readonly response: ServerResponse,
    heartbeatMs: number,
  ) {
    if (isHungUp(response)) {
      this.end();
      return;
    }
    request.socket.setNoDelay(true);
    request.socket.setTimeout(0);
    // Else its end would leave an idle connection behind, which keeps a server from closing.
    response.shouldKeepAlive = false;
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store, no-transform',
      'x-accel-buffering': 'no',
    });
    this.heartbeat = setInterval(() => this.write(':\n\n'), heartbeatMs);
    this.heartbeat.unref();
    response.once('close', () => {
      this.inTime();
      this.end();
    });
    response.once('error', () => this.end());
    response.flushHeaders();
  }

  /** @param data anything that JSON can say */
  send(event: string, data: unknown): void {
    this.sendText(eventText(event, data));
  }

  /** @param text an {@link eventText} */
  sendText(text: string): void {
    this.write(this.opening + text);
    this.opening = '';
  }

  /** The client is gone, or the stream was closed. */
  get isClosed(): boolean {
    return this.controller.signal.aborted;
  }

  /** Calls the listener when it is closed, at once when it is already. */
  onClosed(listener: () => void): void {
    if (this.isClosed) listener();
    else this.controller.signal.addEventListener('abort', listener, { once: true });
  }

  /** Ends the answer. */
  close(): void {
    this.end();
    this.response.end();
  }

  private write(text: string): void {
    const { response } = this;
    if (this.isClosed || response.destroyed) return;
    const isMuch = response.writableLength + text.length > MAX_UNREAD_BYTES;
    if (isMuch && this.tooSlow === undefined) {
      this.tooSlow = setTimeout(() => response.destroy(), SLOW_MS);
      this.tooSlow.unref();
      response.write(text, () => this.inTime());
    } else response.write(text);
    if (response.writableLength > MAX_BURST_BYTES) response.destroy();
  }

  private inTime(): void {
    clearTimeout(this.tooSlow);
    this.tooSlow = undefined;
  }

  private end(): void {
    clearInterval(this.heartbeat);
    this.controller.abort();
  }
}
