import {
  Agent as HttpAgent,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  request,
} from 'node:http';
import { Agent as HttpsAgent, type AgentOptions, request as secureRequest } from 'node:https';
import type { Socket } from 'node:net';

/** A request that got no answer, or one that is no success. */
export class RequestError extends Error {
  override readonly name = 'RequestError';

  readonly nothingDone: boolean;
  readonly isRefusal: boolean;
  readonly statusCode: number | undefined;

  constructor(message: string, { nothingDone, isRefusal, statusCode, cause }: RequestFacts = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.nothingDone = nothingDone ?? false;
    this.isRefusal = isRefusal ?? false;
    this.statusCode = statusCode;
  }
}

/** Whether asking again does not help, until somebody changes something. */
export function isRefusal(error: unknown): boolean {
  return error instanceof RequestError && error.isRefusal;
}

interface RequestFacts {
  /** The server has certainly not done what it was asked for. */
  nothingDone?: boolean;
  /** See {@link isRefusal}. */
  isRefusal?: boolean;
  /** Of the answer, if there was one. */
  statusCode?: number;
  cause?: unknown;
}

export interface RequestOptions {
  method: 'GET' | 'POST' | 'DELETE';
  /** Behind the base of the server, with the query. */
  path: string;
  headers: OutgoingHttpHeaders;
  /** Made once more when it is sent a second time: the server may have got it the first time. */
  body?: (() => string) | undefined;
  signal: AbortSignal;
}

/** A type that no parser of the server's application knows: those for JSON refuse what is longer than 100 kB. */
const CONTENT_TYPE = 'application/vnd.nestjs-semaphore+json';

/** Sends requests to servers, over connections that are kept. */
export class HttpClient {
  private readonly plain = new HttpAgent({ keepAlive: true });
  private readonly secure: HttpsAgent;

  constructor(tls: AgentOptions) {
    this.secure = new HttpsAgent({ ...tls, keepAlive: true });
  }

  /** @throws {RequestError} */
  async send(base: URL, options: RequestOptions): Promise<IncomingMessage> {
    try {
      return await this.attempt(base, options);
    } catch (error) {
      // The server closed an idle connection at the moment in which it was used again.
      if (!(error instanceof StaleConnectionError) || options.signal.aborted) throw error;
      return this.attempt(base, options);
    }
  }

  close(): void {
    this.plain.destroy();
    this.secure.destroy();
  }

  private attempt(base: URL, options: RequestOptions): Promise<IncomingMessage> {
    const { method, path, signal } = options;
    const body = options.body?.();
    const headers = body === undefined ? options.headers : withBody(options.headers, body);
    const isSecure = base.protocol === 'https:';
    const url = new URL(base.pathname.replace(/\/$/, '') + path, base);
    return new Promise((resolve, reject) => {
      let isConnected = false;
      const sent = (isSecure ? secureRequest : request)(url, {
        method,
        headers,
        signal,
        agent: isSecure ? this.secure : this.plain,
      });
      sent.once('socket', (socket: Socket) => {
        socket.setNoDelay(true);
        if (!socket.connecting) isConnected = true;
        else socket.once(isSecure ? 'secureConnect' : 'connect', () => (isConnected = true));
      });
      sent.once('response', resolve);
      sent.on('error', (error: NodeJS.ErrnoException) => {
        const Kind =
          sent.reusedSocket && error.code === 'ECONNRESET' ? StaleConnectionError : RequestError;
        const cause: unknown = signal.aborted ? signal.reason : error;
        reject(new Kind(messageOf(cause), { nothingDone: !isConnected, cause }));
      });
      sent.end(body);
    });
  }
}

function withBody(headers: OutgoingHttpHeaders, body: string): OutgoingHttpHeaders {
  const length = Buffer.byteLength(body);
  return { ...headers, 'content-type': CONTENT_TYPE, 'content-length': length };
}

class StaleConnectionError extends RequestError {}

/** The whole answer as text. @throws {RequestError} when it breaks off */
export async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response) chunks.push(chunk as Buffer);
  } catch (error) {
    throw new RequestError('the answer of the server broke off', { cause: error });
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** What is wrong with an answer that is no success. */
export async function problemOf(response: IncomingMessage): Promise<RequestError> {
  const { statusCode = 0 } = response;
  const text = await readText(response).catch(() => '');
  const isAtFault = statusCode >= 400 && statusCode < 500;
  const detail = `the server answered ${statusCode}${saidIn(text)}`;
  return new RequestError(detail, {
    nothingDone: isAtFault,
    isRefusal: isAtFault && ![408, 409, 429].includes(statusCode),
    statusCode,
  });
}

function saidIn(text: string): string {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    return typeof message === 'string' ? ` (${message.slice(0, 200)})` : '';
  } catch {
    return '';
  }
}

function messageOf(error: unknown): string {
  // Several addresses were tried: each has an error of its own, the whole has no message.
  if (error instanceof AggregateError) return messageOf(error.errors[0]);
  return error instanceof Error ? error.message : String(error);
}
