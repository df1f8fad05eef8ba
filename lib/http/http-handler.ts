import type { IncomingMessage, ServerResponse } from 'node:http';
import { HttpProblem, sendProblem } from './http-problem.js';
import { type Route, Router } from './router.js';

/** A request that a route was found for. */
export interface HttpCall {
  request: IncomingMessage;
  response: ServerResponse;
  /** Of the path, decoded. */
  params: Record<string, string>;
  query: URLSearchParams;
  /** Aborted when the client hangs up before the answer was sent. */
  readonly hungUp: AbortSignal;
}

export interface HttpRoute extends Route {
  /** Answers, or throws: an HttpProblem is sent as it is. */
  handle(call: HttpCall): void | Promise<void>;
}

export interface HttpHandlerOptions {
  routes: Iterable<HttpRoute>;
  /** What the paths of the routes stand behind, such as `/locks`; asked at each request. */
  basePath?: () => string;
  /** Makes a problem of what a route threw. */
  toProblem?: (error: unknown) => HttpProblem;
}

/** Of Node, Express and Connect. Without `next` what is unknown is answered with 404. */
export type HttpHandler = (
  request: IncomingMessage,
  response: ServerResponse,
  next?: (error?: unknown) => void,
) => void;

/**
 * One handler for all routes. At the root of an application it leaves paths that it does not know to `next`; behind a
 * path of its own it answers all.
 */
export function createHttpHandler({
  routes,
  basePath = () => '',
  toProblem = internalError,
}: HttpHandlerOptions): HttpHandler {
  const router = new Router(routes);

  async function answer(
    request: IncomingMessage,
    response: ServerResponse,
    next: ((error?: unknown) => void) | undefined,
  ): Promise<void> {
    const { path, query } = splitUrl(request);
    const base = basePath();
    const isInside = path === base || path.startsWith(`${base}/`);
    const match = isInside
      ? router.find(request.method ?? 'GET', path.slice(base.length) || '/')
      : undefined;
    if (match === undefined) {
      if (next !== undefined && !(isInside && base !== '')) next();
      else throw new HttpProblem(404, 'NOT_FOUND', 'There is nothing at this path');
      return;
    }
    const { route, params } = match;
    const turn = turnOf(response);
    if (turn !== undefined) await turn;
    // Its close was told before anybody listened for it.
    if (response.destroyed) return;
    let hungUp: AbortSignal | undefined;
    await route.handle({
      request,
      response,
      params,
      query,
      get hungUp() {
        return (hungUp ??= hangUpSignal(response));
      },
    });
  }

  return (request, response, next) => {
    // A connection that breaks is no fault of this process.
    response.on('error', () => undefined);
    answer(request, response, next).catch((error: unknown) => {
      const problem = error instanceof HttpProblem ? error : toProblem(error);
      sendProblem(request, response, problem);
    });
  };
}

/** Express and Connect shorten `url` to what is behind the mount path. */
function splitUrl(request: IncomingMessage & { originalUrl?: string }): {
  path: string;
  query: URLSearchParams;
} {
  const url = request.originalUrl ?? request.url ?? '/';
  const mark = url.indexOf('?');
  return mark === -1
    ? { path: url, query: new URLSearchParams() }
    : { path: url.slice(0, mark), query: new URLSearchParams(url.slice(mark + 1)) };
}

function hangUpSignal(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  if (response.destroyed) controller.abort();
  else {
    response.once('close', () => {
      if (!isSent(response)) controller.abort();
    });
  }
  return controller.signal;
}

/** Of a response that is closed: whether all of it was sent. In HTTP/2 each that is closed counts as finished. */
export function isSent({ writableEnded, writableFinished }: ServerResponse): boolean {
  return writableEnded && writableFinished;
}

/**
 * A response that is pipelined behind another one is told nothing of its connection's end before its turn has come: until
 * then nothing may begin that has to end with it.
 */
function turnOf(response: ServerResponse): Promise<void> | undefined {
  if (response.socket !== null || response.destroyed) return undefined;
  return new Promise((resolve) => response.once('socket', () => resolve()));
}

function internalError(): HttpProblem {
  return new HttpProblem(500, 'INTERNAL_ERROR', 'The server failed');
}
