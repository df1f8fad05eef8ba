import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { isHungUp } from './hang-ups.js';
import { hasBody } from './has-body.js';

/** What every answer of 400 and above says. */
export interface ProblemBody {
  statusCode: number;
  /** Stable and machine-readable, for example `SEMAPHORE_TIMEOUT`. */
  code: string;
  message: string;
  details?: unknown;
}

export interface ProblemExtras {
  details?: unknown;
  headers?: OutgoingHttpHeaders;
  /** Members of the answer beside those of {@link ProblemBody}. */
  members?: Readonly<Record<string, unknown>>;
}

/** Thrown by a route: the answer is this problem. */
export class HttpProblem extends Error {
  override readonly name = 'HttpProblem';
  readonly headers: OutgoingHttpHeaders;
  readonly body: ProblemBody & Readonly<Record<string, unknown>>;

  constructor(
    readonly statusCode: number,
    readonly code: string,
    message: string,
    { details, headers = {}, members = {} }: ProblemExtras = {},
  ) {
    super(message);
    this.headers = headers;
    this.body = {
      ...members,
      statusCode,
      code,
      message,
      ...(details !== undefined && { details }),
    };
  }
}

/** A rule that something in a request broke. */
export interface BrokenRule {
  field: string;
  rule: string;
}

/** 400 because of a part of the request that cannot be read. */
export function unreadable(code: string, message: string, broken: BrokenRule): HttpProblem {
  return new HttpProblem(400, code, message, { details: [broken] });
}

/** 500 because of what should not have happened: the client need not know it. */
export function internalError(): HttpProblem {
  return new HttpProblem(500, 'INTERNAL_ERROR', 'The server failed');
}

/** Answers with JSON. No effect when the answer has begun already or nobody is there to read it. */
export function sendJson(
  response: ServerResponse,
  statusCode: number,
  body: unknown,
  headers?: OutgoingHttpHeaders,
): void {
  // What is written to who has hung up counts as sent, and reaches nobody.
  if (response.headersSent || isHungUp(response)) return;
  const text = JSON.stringify(body);
  const own = {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
  };
  response.writeHead(statusCode, headers === undefined ? own : { ...own, ...headers });
  response.end(response.req.method === 'HEAD' ? undefined : text);
}

/** Answers with a problem. A request whose body was not read to its end cannot be followed by another one. */
export function sendProblem(
  request: IncomingMessage,
  response: ServerResponse,
  { statusCode, body, headers }: HttpProblem,
): void {
  // Where there is none, it may not count as complete before its headers were dealt with.
  const isRead = request.complete || !hasBody(request);
  const close = isRead ? {} : { connection: 'close' };
  sendJson(response, statusCode, body, { ...(request.httpVersionMajor < 2 && close), ...headers });
}
