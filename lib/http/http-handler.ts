import type { IncomingMessage, ServerResponse } from 'node:http';
import { isHungUp, isSent } from './hang-ups.js';
import { hasBody } from './has-body.js';
import { HttpProblem, internalError, sendProblem } from './http-problem.js';
import { turnOf } from './pipelining.js';
import { tooSlow } from './read-json-body.js';
import { type Route, Router } from './router.js';

/** A request that a route was found for. */
export interface HttpCall {
  request: IncomingMessage;
  response: ServerResponse;
  /** Of the path, decoded. */
  params: Record<string, string>;
  /** The query as it came, without the question mark. */
  readonly search: string;
  /** Aborted when the client hangs up before the answer was sent. */
  readonly hungUp: AbortSignal;
}

export interface HttpRoute extends Route {
  /** Throws when the caller may not ask. For what is answered without {@link handle}, which sees to that itself. */
  admit?(request: IncomingMessage): void;
  /** How long its body may take to arrive, for {@link HttpHandler.limitBody}. */
  bodyTimeoutMs?: number;
  /** Answers, or throws: an HttpProblem is sent as it is. */
  handle(call: HttpCall): void | Promise<void>;
}

export interface HttpHandlerOptions {
  routes: Iterable<HttpRoute>;
  /** What the paths of the routes stand behind, such as `/locks`; asked at the first request. */
  basePath?: () => string;
  /** Somebody else answers behind that path too, as at the root: unknown paths go to `next`. @default false */
  isBaseShared?: boolean;
  /** From then on a problem ends its connection. */
  isClosing?: () => boolean;
  /** Of every answer behind that path, problems included. */
  headers?: Readonly<Record<string, string>>;
  /** Makes a problem of what a route threw that is none. */
  toProblem?: (error: unknown) => HttpProblem;
}

/** Of Node, Express and Connect. Without `next` what is unknown is answered with 404. */
export interface HttpHandler {
  (request: IncomingMessage, response: ServerResponse, next?: Next): void;
  /**
   * Answers with a problem that somebody else has found in the request, unless its path is unknown, or its caller may not
   * ask at all.
   */
  refuse(
    request: IncomingMessage,
    response: ServerResponse,
    problem: HttpProblem,
    next: Next,
  ): void;
  /**
   * Answers 408 when the body comes more slowly than its route allows: for where somebody else reads bodies before the
   * handler is called.
   */
  limitBody(request: IncomingMessage, response: ServerResponse): void;
}

type Next = (error?: unknown) => void;

const DEFAULTS = {
  basePath: () => '',
  isBaseShared: false,
  isClosing: () => false,
  headers: {},
  toProblem: internalError,
};

/**
 * One handler for all routes. At the root of an application, and behind a path that it shares, it leaves paths that it does
 * not know to `next`; behind a path of its own it answers all.
 */
export function createHttpHandler(options: HttpHandlerOptions): HttpHandler {
  const dispatcher = new Dispatcher(options);
  const handler = (request: IncomingMessage, response: ServerResponse, next?: Next): void =>
    dispatcher.handle(request, response, next);
  const refuse: HttpHandler['refuse'] = (request, response, problem, next) =>
    dispatcher.handle(request, response, next, problem);
  const limitBody: HttpHandler['limitBody'] = (request, response) =>
    dispatcher.limitBody(request, response);
  return Object.assign(handler, { refuse, limitBody });
}

/** Brings each request to its route, and what the route throws to its client. */
class Dispatcher {
  private readonly options: Required<HttpHandlerOptions>;
  private readonly router: Router<HttpRoute>;
  private base: string | undefined;

  constructor(options: HttpHandlerOptions) {
    this.options = { ...DEFAULTS, ...options };
    this.router = new Router(options.routes);
  }

  /** @param problem the answer of whichever route it is */
  handle(
    request: IncomingMessage,
    response: ServerResponse,
    next: Next | undefined,
    problem?: HttpProblem,
  ): void {
    response.on('error', ignore);
    try {
      const answering = this.answer(request, response, next, problem);
      answering?.catch((error: unknown) => this.fail(request, response, error));
    } catch (error) {
      this.fail(request, response, error);
    }
  }

  limitBody(request: IncomingMessage, response: ServerResponse): void {
    if (!hasBody(request)) return;
    const timeoutMs = this.routeOf(request)?.bodyTimeoutMs;
    if (timeoutMs === undefined) return;
    const timer = setTimeout(() => {
      if (!request.complete) this.handle(request, response, undefined, tooSlow(timeoutMs));
    }, timeoutMs);
    timer.unref();
    request.once('close', () => clearTimeout(timer));
  }

  /** @returns undefined also for a path or method that is wrong: that is told when it is answered */
  private routeOf(request: IncomingMessage): HttpRoute | undefined {
    const inner = this.place(request).inner;
    if (inner === undefined) return undefined;
    try {
      return this.router.find(request.method ?? 'GET', inner)?.route;
    } catch {
      return undefined;
    }
  }

  /** `inner` is the path behind the base; undefined when it is not behind it. */
  private place({ originalUrl, url: rest = '/' }: RoutedRequest): Place {
    // Express and Connect shorten `url` to what is behind the mount path.
    const url = originalUrl ?? rest;
    const mark = url.indexOf('?');
    const path = mark === -1 ? url : url.slice(0, mark);
    const base = (this.base ??= this.options.basePath());
    const isInside =
      path.startsWith(base) && (path.length === base.length || path[base.length] === '/');
    return {
      base,
      inner: isInside ? path.slice(base.length) || '/' : undefined,
      search: mark === -1 ? '' : url.slice(mark + 1),
    };
  }

  /** @returns undefined when it is answered, or is somebody else's */
  private answer(
    request: RoutedRequest,
    response: ServerResponse,
    next: Next | undefined,
    problem: HttpProblem | undefined,
  ): Promise<void> | undefined {
    const { isBaseShared, headers } = this.options;
    const { base, inner, search } = this.place(request);
    const isInside = inner !== undefined;
    if (isInside) for (const name in headers) response.setHeader(name, headers[name] as string);
    const match = isInside ? this.router.find(request.method ?? 'GET', inner) : undefined;
    if (match === undefined) {
      const isOurs = isInside && base !== '' && !isBaseShared;
      if (next === undefined || isOurs) {
        throw new HttpProblem(404, 'NOT_FOUND', 'There is nothing at this path');
      }
      next();
      return undefined;
    }
    if (problem !== undefined) {
      match.route.admit?.(request);
      throw problem;
    }
    const call = new RoutedCall(request, response, match.params, search);
    const turn = turnOf(request, response);
    if (turn !== undefined) return turn.then(() => run(match.route, call));
    return run(match.route, call) ?? undefined;
  }

  private fail(request: IncomingMessage, response: ServerResponse, error: unknown): void {
    const { isClosing, toProblem } = this.options;
    if (isClosing()) response.shouldKeepAlive = false;
    try {
      sendProblem(request, response, error instanceof HttpProblem ? error : toProblem(error));
    } catch (unsendable) {
      // A header with a sign that HTTP does not have.
      sendProblem(request, response, toProblem(unsendable));
    }
  }
}

/**
 * Calls the route, unless the response is over: its close was told before anybody listened for it, or it was answered while
 * somebody else read the body.
 */
function run(route: HttpRoute, call: HttpCall): void | Promise<void> {
  if (!isHungUp(call.response) && !call.response.headersSent) return route.handle(call);
}

type RoutedRequest = IncomingMessage & { originalUrl?: string };

interface Place {
  base: string;
  inner: string | undefined;
  search: string;
}

/** Listens for a hang-up only where its route asks for that. */
class RoutedCall implements HttpCall {
  private hangUp: AbortSignal | undefined;

  constructor(
    readonly request: IncomingMessage,
    readonly response: ServerResponse,
    readonly params: Record<string, string>,
    readonly search: string,
  ) {}

  get hungUp(): AbortSignal {
    return (this.hangUp ??= hangUpSignal(this.response));
  }
}

function hangUpSignal(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  if (isHungUp(response)) controller.abort();
  else {
    response.once('close', () => {
      if (!isSent(response)) controller.abort();
    });
  }
  return controller.signal;
}

/** A connection that breaks is no fault of this process. */
function ignore(): void {}
