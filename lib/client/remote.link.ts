import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { onAbort } from '../cancel/on-abort.js';
import type { Clock, StopTimer } from '../store/clock.js';
import { pause } from '../store/pause.js';
import { type OpenEvent, STORE_PATH, type WireReply } from '../store/remote/wire.js';
import { scheduleAfterReading } from './after-reading.js';
import { EventParser } from './event-parser.js';
import {
  type HttpClient,
  isRefusal,
  problemOf,
  readText,
  RequestError,
  type RequestOptions,
} from './http-request.js';

interface LinkEvents {
  /** A server has the session, and its stream is open. @param sentAt when it was asked for */
  opened(hello: OpenEvent, sentAt: number): void;
  event(name: string, data: unknown): void;
  /** The stream broke, or could not be opened. Another attempt follows. */
  closed(error: Error): void;
}

interface LinkOptions {
  urls: readonly URL[];
  /** Of every request. */
  headers: Record<string, string>;
  timeoutMs: number;
}

/** What is asked for, of the stream's server, while the stream is open and within the time limit where nothing else is said. */
interface Asked extends Omit<RequestOptions, 'headers' | 'signal'> {
  signal?: AbortSignal;
  timeoutMs?: number;
}

const RECONNECT_AFTER_MS = 25;
const RECONNECT_AT_MOST_MS = 500;
const MISSED_HEARTBEATS = 2.5;

/** The stream of a session, opened again whenever it breaks; with several servers, in turn. */
export class RemoteLink {
  private base: URL;
  private current = new AbortController();
  private readonly closing = new AbortController();
  /** Since the stream was open. */
  private attempts = 0;
  /** Which server is tried next. */
  private turn = 0;
  private heardAt = 0;
  private answeredAt = -Infinity;
  private stopSilenceTimer: StopTimer = () => undefined;

  constructor(
    private readonly http: HttpClient,
    private readonly options: LinkOptions,
    private readonly clock: Clock,
    private readonly events: LinkEvents,
  ) {
    this.base = options.urls[0] as URL;
    void this.keepOpen();
  }

  private get isClosed(): boolean {
    return this.closing.signal.aborted;
  }

  /** How long nothing has come from a server. */
  get silentMs(): number {
    return this.clock.now() - this.answeredAt;
  }

  /** The server that the stream is open at, does not answer well: look for a better one. */
  cut(error: Error): void {
    this.current.abort(error);
  }

  /** @throws {RequestError} */
  async post(body: () => string, timeoutMs = this.options.timeoutMs): Promise<WireReply> {
    const text = await this.request(
      { method: 'POST', path: STORE_PATH, body, timeoutMs },
      readText,
    );
    return JSON.parse(text) as WireReply;
  }

  /** The answer to a GET of another path, whose body is the caller's to read or to destroy. @throws {RequestError} */
  get(path: string, timeoutMs: number): Promise<IncomingMessage> {
    const { signal } = this.closing;
    return this.request({ method: 'GET', path, signal, timeoutMs }, (response) => response);
  }

  /** A request beside the calls, again until it succeeds in time; its answer as text. @throws {RequestError} */
  async transfer(method: 'GET' | 'POST', path: string, text?: string): Promise<string> {
    const end = this.clock.now() + this.options.timeoutMs;
    const body = text === undefined ? undefined : () => text;
    for (;;) {
      try {
        const timeoutMs = end - this.clock.now();
        return await this.request({ method, path, body, timeoutMs }, readText);
      } catch (error) {
        const isLate = this.clock.now() + RECONNECT_AT_MOST_MS >= end;
        if (isLate || isRefusal(error) || this.isClosed) throw error;
        await pause(this.clock, RECONNECT_AFTER_MS * 2);
      }
    }
  }

  /** Tells the server that the session is over. */
  async close(): Promise<void> {
    if (this.isClosed) return;
    this.closing.abort();
    try {
      const signal = AbortSignal.timeout(this.options.timeoutMs);
      if (this.attempts === 0) {
        await this.request({ method: 'DELETE', path: STORE_PATH, signal }, readText);
      }
    } catch {
      // The session ends with its grace time.
    }
    this.current.abort(new Error('the store is closed'));
    this.stopSilenceTimer();
    this.http.close();
  }

  private async keepOpen(): Promise<void> {
    while (!this.isClosed) {
      this.current = new AbortController();
      const { signal } = this.current;
      try {
        await this.listen(signal);
      } catch (error) {
        // Who is silent may be so for long.
        if (signal.aborted) this.turn = this.options.urls.indexOf(this.base) + 1;
        this.cut(asRequestError(error));
        if (this.isClosed) return;
        this.events.closed(signal.reason as Error);
      }
      this.base = this.options.urls[this.turn++ % this.options.urls.length] as URL;
      this.attempts++;
      await this.waitForNext(Math.min(RECONNECT_AFTER_MS * this.attempts, RECONNECT_AT_MOST_MS));
    }
  }

  /** Keeps the process alive, as the stream does: who waits for a permit may have nothing else to live for. */
  private async waitForNext(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.closing.signal }).catch(() => undefined);
  }

  /** Never returns, but throws when the stream is over. */
  private async listen(signal: AbortSignal): Promise<never> {
    const { timeoutMs, headers } = this.options;
    const sentAt = this.clock.now();
    this.endSilence(signal, timeoutMs);
    const response = await this.http.send(this.base, {
      method: 'GET',
      path: STORE_PATH,
      headers: { ...headers, accept: 'text/event-stream' },
      signal,
    });
    if (response.statusCode !== 200) throw await problemOf(response);
    const parser = new EventParser();
    for await (const chunk of response) {
      this.heardAt = this.answeredAt = this.clock.now();
      for (const { event, data } of parser.push(chunk as Buffer)) {
        if (event === 'open') {
          const hello = data as OpenEvent;
          this.attempts = this.turn = 0;
          this.endSilence(signal, hello.heartbeatMs * MISSED_HEARTBEATS);
          this.events.opened(hello, sentAt);
        } else this.events.event(event, data);
      }
    }
    throw new RequestError('the server ended the stream');
  }

  /** A connection that died without a word is noticed by its silence. */
  private endSilence(signal: AbortSignal, afterMs: number): void {
    this.stopSilenceTimer();
    this.heardAt = this.clock.now();
    const check = (): void => {
      const silentMs = this.clock.now() - this.heardAt;
      if (silentMs >= afterMs)
        this.cut(new Error(`the server said nothing for ${Math.round(silentMs)} ms`));
      if (!signal.aborted) watch(afterMs - silentMs);
    };
    const watch = (ms: number): void => {
      this.stopSilenceTimer = scheduleAfterReading(this.clock, check, ms);
    };
    watch(afterMs);
  }

  /** @param read what is to be done of an answer within the time limit */
  private async request<T>(
    { signal = this.current.signal, timeoutMs = this.options.timeoutMs, ...asked }: Asked,
    read: (response: IncomingMessage) => T | Promise<T>,
  ): Promise<T> {
    // Not AbortSignal.any: in Node 20 a signal that lives long keeps what was made of it.
    const over = new AbortController();
    const error = new Error(`the server did not answer within ${Math.round(timeoutMs)} ms`);
    const stop = scheduleAfterReading(this.clock, () => over.abort(error), timeoutMs);
    const end = (): void => over.abort(signal.reason);
    const stopListening = onAbort(signal, end);
    if (signal.aborted) end();
    try {
      const response = await this.http.send(this.base, {
        ...asked,
        headers: this.options.headers,
        signal: over.signal,
      });
      const { statusCode = 0 } = response;
      if (statusCode < 200 || statusCode > 299) throw await problemOf(response);
      this.answeredAt = this.clock.now();
      return await read(response);
    } finally {
      stop();
      stopListening();
    }
  }
}

/** The error of a stream. What Node says of one that breaks off, "aborted", would be read as something that the caller did. */
function asRequestError(error: unknown): RequestError {
  if (error instanceof RequestError) return error;
  return new RequestError('the stream of the server broke off', { cause: error });
}
