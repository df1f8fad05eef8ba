import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { hasBody } from './has-body.js';
import { HttpProblem, unreadable } from './http-problem.js';

export interface BodyLimits {
  /** More is answered with 413. */
  maxBytes: number;
  /** How long the body may take to arrive, in milliseconds; longer is answered with 408. */
  timeoutMs: number;
}

/** How deep objects and arrays may be nested. */
const MAX_DEPTH = 16;

/** A request whose body a parser of the application may have read already. */
export type ParsedRequest = IncomingMessage & { body?: unknown };

/**
 * The JSON in a request's body; undefined when there is none.
 * @throws {HttpProblem} 400 malformed, not UTF-8 or nested too deeply, 408 too slow, 413 too large, 415 something else than JSON, or encoded
 */
export async function readJsonBody(request: ParsedRequest, limits: BodyLimits): Promise<unknown> {
  const isParsed = request.readableEnded && request.body !== undefined;
  if (!isParsed && !hasBody(request)) return undefined;
  requireJson(request);
  if (!isParsed) requirePlain(request);
  const body = parsed(isParsed ? request.body : await readBytes(request, limits));
  if (isDeeperThan(body, MAX_DEPTH)) {
    throw badBody(
      `The body is nested more than ${MAX_DEPTH} levels deep`,
      `at most ${MAX_DEPTH} levels deep`,
    );
  }
  if (isParsed && sizeOfParsed(request) > limits.maxBytes) throw tooLarge(limits.maxBytes);
  return body;
}

/** A parser of the application may have left it as bytes or as text. */
function parsed(body: unknown): unknown {
  if (Buffer.isBuffer(body)) return parse(textOf(body));
  return typeof body === 'string' ? parse(body) : body;
}

/** As it came; where nothing tells, as it would be written now. */
function sizeOfParsed({ headers, body }: ParsedRequest): number {
  const length = headers['content-encoding'] === undefined ? headers['content-length'] : undefined;
  if (length !== undefined) return Number(length);
  const isRaw = Buffer.isBuffer(body) || typeof body === 'string';
  return Buffer.byteLength(isRaw ? body : JSON.stringify(body));
}

function requireJson({ headers }: IncomingMessage): void {
  const wanted = headers['content-type'];
  if (wanted === undefined || wanted === 'application/json') return;
  const type = (wanted.split(';', 1)[0] as string).trim().toLowerCase();
  if (type === 'application/json' || type.endsWith('+json')) return;
  throw unsupported(`Send JSON with "content-type: application/json", not "${type.slice(0, 80)}"`);
}

const CHARSETS = new Set(['utf-8', 'utf8', 'us-ascii']);

/** Nothing is decoded here: what a parser of the application decodes is decoded already. */
function requirePlain({ headers }: IncomingMessage): void {
  const encoding = headers['content-encoding']?.trim().toLowerCase() ?? '';
  if (encoding !== '' && encoding !== 'identity') {
    throw unsupported(
      `Send the body as it is, without "content-encoding: ${encoding.slice(0, 80)}"`,
    );
  }
  const charset = /;\s*charset\s*=\s*"?([^\s;"]+)/i.exec(headers['content-type'] ?? '')?.[1];
  if (charset === undefined || CHARSETS.has(charset.toLowerCase())) return;
  throw unsupported(`Send the body as UTF-8, not as "${charset.slice(0, 80)}"`);
}

function readBytes(request: IncomingMessage, limits: BodyLimits): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const { maxBytes, timeoutMs } = limits;
    if (Number(request.headers['content-length']) > maxBytes) throw tooLarge(maxBytes);
    if (request.destroyed) throw incomplete();
    new BodyReader(request, maxBytes, timeoutMs, resolve, reject);
  });
}

/** Listens to a request until its body is complete, or cannot be any more. */
class BodyReader {
  private readonly chunks: Buffer[] = [];
  private size = 0;
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly request: IncomingMessage,
    private readonly maxBytes: number,
    timeoutMs: number,
    private readonly resolve: (bytes: Buffer) => void,
    private readonly reject: (problem: HttpProblem) => void,
  ) {
    this.timer = setTimeout(() => this.fail(tooSlow(timeoutMs)), timeoutMs);
    this.timer.unref();
    request.on('data', this.onData).on('end', this.onEnd);
    request.on('error', this.onGone).on('close', this.onGone);
  }

  private readonly onData = (chunk: Buffer): void => {
    this.size += chunk.length;
    if (this.size > this.maxBytes) this.fail(tooLarge(this.maxBytes));
    else this.chunks.push(chunk);
  };

  private readonly onEnd = (): void => {
    const { chunks } = this;
    this.settle();
    const [first = NOTHING] = chunks;
    this.resolve(chunks.length > 1 ? Buffer.concat(chunks) : first);
  };

  private readonly onGone = (): void => this.fail(incomplete());

  private fail(problem: HttpProblem): void {
    this.settle();
    // The rest is not wanted; the answer closes the connection.
    this.request.pause();
    this.reject(problem);
  }

  private settle(): void {
    clearTimeout(this.timer);
    const { request } = this;
    request.off('data', this.onData).off('end', this.onEnd);
    request.off('error', this.onGone).off('close', this.onGone);
  }
}

const NOTHING = Buffer.alloc(0);

function textOf(bytes: Buffer): string {
  // What would replace its broken signs could make different keys equal.
  if (!isUtf8(bytes)) throw badBody('The body is not valid UTF-8', 'valid UTF-8');
  return bytes.toString('utf8');
}

function parse(text: string): unknown {
  if (text.trim() === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw badBody('The body is not valid JSON', 'valid JSON');
  }
}

function isDeeperThan(value: unknown, limit: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (limit === 0) return true;
  for (const name in value) {
    if (isDeeperThan((value as Record<string, unknown>)[name], limit - 1)) return true;
  }
  return false;
}

export function badBody(message: string, rule: string): HttpProblem {
  return unreadable('INVALID_BODY', message, { field: 'body', rule });
}

function incomplete(): HttpProblem {
  return badBody('The body ended before it was complete', 'complete');
}

export function tooSlow(timeoutMs: number): HttpProblem {
  return new HttpProblem(408, 'REQUEST_TIMEOUT', `The body did not arrive within ${timeoutMs} ms`);
}

function tooLarge(maxBytes: number): HttpProblem {
  return new HttpProblem(413, 'BODY_TOO_LARGE', `The body has more than ${maxBytes} bytes`);
}

function unsupported(message: string): HttpProblem {
  return new HttpProblem(415, 'UNSUPPORTED_MEDIA_TYPE', message);
}
