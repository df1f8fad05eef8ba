import { setMaxListeners } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { Logger } from '@nestjs/common';
import { createHttpHandler, type HttpHandler, type HttpRoute } from '../http/http-handler.js';
import { sendJson } from '../http/http-problem.js';
import { readJsonBody } from '../http/read-json-body.js';
import { aFunction, checkedAt, flag, merge, requireObject } from '../option-rules.js';
import { InvalidOptionsError, stackOf } from '../semaphore.errors.js';
import type { SemaphoreService } from '../semaphore.service.js';
import { internalsOf } from '../service-internals.js';
import { type Access, ApiKeys, requireAdmin, requireKeys } from './api-keys.js';
import { infoRoutes } from './info.routes.js';
import { Locks } from './locks.js';
import { lockRoutes } from './locks.routes.js';
import { PermitWaits } from './permit-waits.js';
import { permitRoutes } from './permits.routes.js';
import { toProblem } from './problems.js';
import { Quota } from './quota.js';
import { storeCalls } from './remote/remote-documentation.js';
import { createRemoteStore } from './remote/remote.routes.js';
import { noQuery } from './schemas.js';
import { semaphoreRoutes } from './semaphores.routes.js';
import {
  type ResolvedServerOptions,
  resolveServerOptions,
  type SemaphoreServerOptions,
} from './server.options.js';
import type { ServerCall, ServerRoute } from './server-route.js';
import { Sessions } from './sessions.js';
import { streamRoutes } from './streams.routes.js';
import { toObject, validate } from './validate.js';

const logger = new Logger('SemaphoreServer');

/** Options of {@link createSemaphoreServer}. */
export interface SemaphoreServerParts extends Omit<SemaphoreServerOptions, 'path'> {
  /** Whose semaphores are served. It stays open when the server is closed. */
  semaphores: SemaphoreService;
  /** What the server's paths stand behind, such as where `app.use()` mounts it; asked at the first request. @default '' */
  basePath?: (() => string) | undefined;
  /** The application has other paths there too: those that the server does not know go to `next`. @default false */
  isBaseShared?: boolean | undefined;
}

/** Answers one request. What is not its own goes to `next`; without that it is answered with 404. */
export type SemaphoreServerHandler = (
  request: IncomingMessage | Http2ServerRequest,
  response: ServerResponse | Http2ServerResponse,
  next?: (error?: unknown) => void,
) => void;

/** The lock server: a handler for `node:http`, `node:http2`, Express or Connect. */
export interface SemaphoreServer {
  /** For `createServer()` of `node:http`, `node:https` and `node:http2`, or `app.use()` of Express and Connect. */
  readonly handler: SemaphoreServerHandler;
  /** Whether only requests from this machine are served, because there are no API keys. */
  readonly isLoopbackOnly: boolean;
  /** Sends all waiting requests away, closes all streams, and gives back what sessions hold. Call it before the service's. */
  close(): Promise<void>;
}

/**
 * The lock server without an application around it.
 * @throws {InvalidOptionsError}
 * @example
 * const server = createSemaphoreServer({ semaphores, apiKeys: parseApiKeys(process.env.API_KEYS) });
 * createServer(server.handler).listen(3000);
 */
export function createSemaphoreServer(parts: SemaphoreServerParts): SemaphoreServer {
  checkedAt('createSemaphoreServer()', () => requireObject(parts));
  const { semaphores, basePath, isBaseShared, ...options } = parts;
  if ('path' in options && options.path !== undefined) {
    throw new InvalidOptionsError('path', options.path, 'left out: say `basePath: () => path`');
  }
  const place = { semaphores, ...merge(PLACE, PLACE_RULES, [{ basePath, isBaseShared }]) };
  const { handler, ...server } = openServer(place, resolveServerOptions(options));
  return {
    ...server,
    handler: (request, response, next) =>
      handler(request as IncomingMessage, response as ServerResponse, next),
  };
}

type Place = Required<Pick<SemaphoreServerParts, 'semaphores' | 'basePath' | 'isBaseShared'>>;

const PLACE = { basePath: () => '', isBaseShared: false };
const PLACE_RULES = { basePath: aFunction, isBaseShared: flag };

/** A server with all that an application needs of its handler. */
export interface MountableServer extends Omit<SemaphoreServer, 'handler'> {
  readonly handler: HttpHandler;
}

/**
 * As {@link createSemaphoreServer}, with options that are resolved.
 * @throws {InvalidOptionsError} for a single API key, or semaphores that are none of ours
 */
export function openServer(
  { semaphores, basePath, isBaseShared }: Place,
  options: ResolvedServerOptions,
): MountableServer {
  const apiKeys = new ApiKeys(options.apiKeys);
  const internals = internalsOf(semaphores);
  let isClosing = false;
  const closing = new AbortController();
  setMaxListeners(0, closing.signal);
  const waits = new PermitWaits(internals.permitsById, options.waitGraceMs);
  const sessions = new Sessions(semaphores, options.sessionGraceMs, options.maxSessions);
  const routes = [
    ...permitRoutes({
      semaphores,
      waits,
      sessions,
      openWaits: new Quota(options.maxOpenWaits, 'TOO_MANY_WAITS', 'requests for permits'),
    }),
    ...semaphoreRoutes(semaphores),
    ...streamRoutes({
      semaphores,
      sessions,
      openStreams: new Quota(options.maxSessions, 'TOO_MANY_STREAMS', 'streams'),
      heartbeatMs: options.heartbeatMs,
      closing: closing.signal,
    }),
    ...lockRoutes(new Locks(semaphores), options.defaultExpiryMs),
  ];
  const remote = createRemoteStore({
    store: semaphores.store,
    list: (pattern, isWanted) => internals.list(pattern, isWanted),
    authenticate: (request) => apiKeys.authenticate(request),
    maxSessions: options.maxSessions,
    maxPermits: options.maxOpenWaits,
  });
  const all = [...routes, ...infoRoutes(semaphores, [...routes, ...storeCalls], basePath)];
  const handler = createHttpHandler({
    basePath,
    isBaseShared,
    isClosing: () => isClosing,
    routes: [...all.map((route) => toHttpRoute(route, apiKeys, options)), ...remote.routes],
    toProblem: (error) =>
      toProblem(error, (fault) => logger.error('A request failed', stackOf(fault))),
  });
  return {
    handler,
    isLoopbackOnly: apiKeys.isEmpty,
    async close() {
      isClosing = true;
      waits.close();
      await Promise.all([sessions.close(), remote.close()]);
      closing.abort();
    },
  };
}

const NO_ACCESS = { name: '', isAdmin: false, mayUse: () => false };

/** A route that is open lets others ask with parameters of theirs, such as a health check that avoids caches. */
function queryOf({ query, role }: ServerRoute, search: string): unknown {
  if (query !== undefined) return validate(query, toObject(search));
  if (search !== '' && role !== 'open') validate(noQuery, toObject(search));
  return undefined;
}

function toHttpRoute(
  route: ServerRoute,
  apiKeys: ApiKeys,
  { maxBodyBytes, bodyTimeoutMs }: ResolvedServerOptions,
): HttpRoute {
  const limits = { maxBytes: maxBodyBytes, timeoutMs: bodyTimeoutMs };
  const { method, path, role } = route;
  const admit = (request: IncomingMessage): Access => {
    const access = role === 'open' ? NO_ACCESS : apiKeys.authenticate(request);
    if (role === 'admin') requireAdmin(access);
    return access;
  };
  return {
    method,
    path,
    // What has no schema is a stream.
    noHead: Object.values(route.answers).every(({ schema }) => schema === undefined),
    admit,
    ...(route.body && { bodyTimeoutMs }),
    async handle({ request, response, params, search }) {
      const access = admit(request);
      const parts = {
        request,
        response,
        access,
        params: route.params && validate(route.params, params),
        query: queryOf(route, search),
        headers: route.headers && validate(route.headers, request.headers),
        body: route.body && validate(route.body, await readJsonBody(request, limits)),
      };
      const { key } = params;
      if (key !== undefined) requireKeys(access, [key]);
      // The route was made for what its own schemas give.
      const answer = await route.handle(parts as ServerCall<never, never, never, never>);
      if (answer !== undefined) sendJson(response, answer.status, answer.body, answer.headers);
    },
  };
}
