import type { IncomingMessage } from 'node:http';
import { HttpProblem } from './http-problem.js';

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
 * @throws {HttpProblem} 400 malformed or nested too deeply, 408 too slow, 413 too large, 415 something else than JSON
 */
export async function readJsonBody(request: ParsedRequest, limits: BodyLimits): Promise<unknown> {
  const isParsed = request.readableEnded && request.body !== undefined;
  if (!isParsed && !hasBody(request)) return undefined;
  requireJson(request);
  const body = isParsed ? request.body : parse(await readText(request, limits));
  if (isDeeperThan(body, MAX_DEPTH)) {
    throw badBody(`The body is nested more than ${MAX_DEPTH} levels deep`);
  }
  return body;
}

function hasBody({ headers, httpVersionMajor, readableEnded }: IncomingMessage): boolean {
  // HTTP/2 needs no header to announce a body.
  if (httpVersionMajor >= 2) return !readableEnded;
  const length = headers['content-length'];
  return headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
}

function requireJson({ headers }: IncomingMessage): void {
  const type = headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase();
  if (type === undefined || type === 'application/json' || type.endsWith('+json')) return;
  throw new HttpProblem(
    415,
    'UNSUPPORTED_MEDIA_TYPE',
    `Send JSON with "content-type: application/json", not "${type.slice(0, 80)}"`,
  );
}

function readText(request: IncomingMessage, limits: BodyLimits): Promise<string> {
  const { maxBytes, timeoutMs } = limits;
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const settle = (): void => {
      clearTimeout(timer);
      request.off('data', onData).off('end', onEnd).off('error', onGone).off('close', onGone);
    };
    const fail = (problem: HttpProblem): void => {
      settle();
      // The rest is not wanted; the answer closes the connection.
      request.pause();
      reject(problem);
    };
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      if (size > maxBytes) fail(tooLarge(maxBytes));
      else chunks.push(chunk);
    };
    const onEnd = (): void => {
      settle();
      resolve(Buffer.concat(chunks).toString('utf8'));
    };
    const onGone = (): void => fail(badBody('The body ended before it was complete'));
    const timer = setTimeout(
      () =>
        fail(
          new HttpProblem(408, 'REQUEST_TIMEOUT', `The body did not arrive within ${timeoutMs} ms`),
        ),
      timeoutMs,
    );
    timer.unref();
    if (Number(request.headers['content-length']) > maxBytes) fail(tooLarge(maxBytes));
    else if (request.destroyed) onGone();
    else request.on('data', onData).once('end', onEnd).once('error', onGone).once('close', onGone);
  });
}

function parse(text: string): unknown {
  if (text.trim() === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw badBody('The body is not valid JSON');
  }
}

function isDeeperThan(value: unknown, limit: number): boolean {
  let level = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > limit) return true;
    level = level.flatMap((item) =>
      typeof item === 'object' && item !== null ? Object.values(item) : [],
    );
  }
  return false;
}

function badBody(message: string): HttpProblem {
  return new HttpProblem(400, 'INVALID_BODY', message);
}

function tooLarge(maxBytes: number): HttpProblem {
  return new HttpProblem(413, 'BODY_TOO_LARGE', `The body has more than ${maxBytes} bytes`);
}
