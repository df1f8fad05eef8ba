import type { Logger } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';
import { hostname } from 'node:os';
import { createHttpHandler, type HttpCall, type HttpHandler } from '../http/http-handler.js';
import { EventStream } from '../http/event-stream.js';
import { HttpProblem, sendJson } from '../http/http-problem.js';
import {
  InvalidOptionsError,
  SemaphoreClosedError,
  stackOf,
  StoreUnavailableError,
} from '../semaphore.errors.js';
import { validateKey } from '../resolve-options.js';
import type { SemaphoreService } from '../semaphore.service.js';
import { AccessControl, type Visitor } from './access-control.js';
import { AssetFiles } from './asset-files.js';
import { Collector } from './collector/collector.js';
import { overviewOf, type View } from './collector/view.js';
import { type Act, DashboardActs } from './dashboard.acts.js';
import type { ResolvedDashboardOptions } from './dashboard.options.js';
import { sendRefusalPage } from './refusal-page.js';

const SECURITY_HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

const MAX_STREAMS = 200;
/** A page that says nothing for longer is taken for dead by its script. */
const HEARTBEAT_MS = 10_000;
/** Then the visitor has to be admitted again, by a new request: only that tells of cookies and sessions as they are now. */
const MAX_STREAM_MS = 30_000;

type Answer = (call: HttpCall, visitor: Visitor) => void | Promise<void>;

/** The page, what it asks for, and what it may do. Knows Node's HTTP only. */
export class Dashboard {
  readonly handler: HttpHandler;
  private readonly collector: Collector;
  private readonly access: AccessControl;
  private readonly acts: DashboardActs;
  private readonly files = new AssetFiles();
  private readonly streams = new Set<EventStream>();
  private isClosed = false;

  constructor(
    service: SemaphoreService,
    options: ResolvedDashboardOptions,
    logger: Pick<Logger, 'log' | 'error'>,
    basePath: () => string,
  ) {
    this.collector = new Collector(service);
    this.access = new AccessControl(options, logger);
    this.acts = new DashboardActs(service, logger);
    this.handler = createHttpHandler({
      basePath,
      headers: SECURITY_HEADERS,
      toProblem: (error) => problemOf(error, logger),
      routes: [
        { method: 'GET', path: '/', handle: this.page((call) => this.sendIndex(call)) },
        { method: 'GET', path: '/{file}', handle: this.page((call) => this.sendFile(call)) },
        {
          method: 'GET',
          path: '/api/stream',
          noHead: true,
          handle: this.look((call, visitor) => this.stream(call, visitor)),
        },
        { method: 'GET', path: '/api/overview', handle: this.look((call) => this.read(call)) },
        { method: 'GET', path: '/api/semaphore', handle: this.look((call) => this.read(call)) },
        { method: 'POST', path: '/api/release', handle: this.act(this.acts.release) },
        { method: 'POST', path: '/api/drop', handle: this.act(this.acts.drop) },
        { method: 'POST', path: '/api/limit', handle: this.act(this.acts.limit) },
      ],
    });
  }

  close(): void {
    this.isClosed = true;
    this.collector.close();
    for (const stream of this.streams) stream.close();
  }

  /** For people: a refusal is a page too. */
  private page(answer: Answer): (call: HttpCall) => Promise<void> {
    const handle = this.look(answer);
    return async (call) => {
      try {
        await handle(call);
      } catch (error) {
        if (!(error instanceof HttpProblem) || !wantsHtml(call.request)) throw error;
        sendRefusalPage(call.response, error);
      }
    };
  }

  private look(answer: Answer): (call: HttpCall) => Promise<void> {
    return async (call) => {
      await answer(call, await this.access.admit(call.request));
    };
  }

  private act(act: Act): (call: HttpCall) => Promise<void> {
    return async ({ request, response }) => {
      await this.acts.run(act, request, await this.access.admitToAct(request));
      sendJson(response, 200, { done: true });
    };
  }

  /** The addresses in the page are relative, so it needs the slash at the end. */
  private sendIndex({ request, response, search }: HttpCall): void {
    const { originalUrl = request.url ?? '/' }: { originalUrl?: string } & IncomingMessage =
      request;
    const [path = '/'] = originalUrl.split('?', 1);
    if (path.endsWith('/')) {
      this.files.send('index.html', request, response);
      return;
    }
    const last = path.slice(path.lastIndexOf('/') + 1);
    const location = `./${last}/${search === '' ? '' : `?${search}`}`;
    response.writeHead(302, { location, 'cache-control': 'no-store' }).end();
  }

  private sendFile({ request, response, params }: HttpCall): void {
    if (this.files.send(params['file'] ?? '', request, response)) return;
    throw new HttpProblem(404, 'NOT_FOUND', 'There is nothing at this path');
  }

  private async read(call: HttpCall): Promise<void> {
    sendJson(call.response, 200, await this.collector.read(viewOf(call.search)));
  }

  private stream({ request, response, search }: HttpCall, visitor: Visitor): void {
    const view = viewOf(search);
    // A page that has lost its stream comes back at once: the server would wait for it to go.
    if (this.isClosed) throw new HttpProblem(503, 'CLOSED', 'This process shuts down');
    if (this.streams.size >= MAX_STREAMS) {
      throw new HttpProblem(503, 'TOO_MANY_VIEWERS', `${MAX_STREAMS} pages are open already`);
    }
    const stream = new EventStream(request, response, HEARTBEAT_MS);
    this.streams.add(stream);
    const origin = { host: hostname(), pid: process.pid, since: this.collector.since };
    stream.send('session', { ...visitor, process: origin });
    const stop = this.collector.watch(view, (frame) => stream.send('frame', frame));
    const renewal = setTimeout(() => {
      stream.send('renew', {});
      stream.close();
    }, MAX_STREAM_MS).unref();
    // Maybe at once: who authorizes may take its time, and the page be gone.
    stream.onClosed(() => {
      clearTimeout(renewal);
      stop();
      this.streams.delete(stream);
    });
  }
}

function wantsHtml({ headers }: IncomingMessage): boolean {
  return headers.accept?.includes('text/html') ?? false;
}

/** @throws {InvalidOptionsError} */
function viewOf(search: string): View {
  const query = new URLSearchParams(search);
  const key = query.get('key');
  if (key === null) return overviewOf(query);
  validateKey(key);
  return { type: 'semaphore', key };
}

function problemOf(error: unknown, logger: Pick<Logger, 'error'>): HttpProblem {
  if (error instanceof InvalidOptionsError) {
    return new HttpProblem(400, error.code, error.message);
  }
  if (error instanceof StoreUnavailableError || error instanceof SemaphoreClosedError) {
    return new HttpProblem(503, error.code, error.message);
  }
  logger.error('The semaphore dashboard failed', stackOf(error));
  return new HttpProblem(500, 'INTERNAL_ERROR', 'The dashboard failed; its log says why.');
}
