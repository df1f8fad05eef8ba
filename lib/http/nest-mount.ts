import { type MiddlewareConsumer, RequestMethod } from '@nestjs/common';
import type { ApplicationConfig, HttpAdapterHost } from '@nestjs/core';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { HttpHandler } from './http-handler.js';
import { HttpProblem, unreadable } from './http-problem.js';
import { badBody } from './read-json-body.js';

/** `/a/b` of `a/b/`; nothing of `/`. */
export function normalisePath(path: string): string {
  const inner = path.replace(/^\/+|\/+$/g, '');
  return inner === '' ? '' : `/${inner}`;
}

/** Where a module's path is in the application: behind the global prefix, when there is one that does not exclude it. */
export function mountPath(config: ApplicationConfig, path: string): string {
  const inner = normalisePath(path);
  return isExcluded(config, inner) ? inner : normalisePath(config.getGlobalPrefix()) + inner;
}

/** As Nest decides it for the routes of {@link mountHandler}: patterns are compared with their text. */
function isExcluded(config: ApplicationConfig, inner: string): boolean {
  if (inner === '') return false;
  const { exclude = [] } = config.getGlobalPrefixOptions();
  const routes = routesOf(inner);
  return exclude.some(
    ({ pathRegex, requestMethod }) =>
      requestMethod === RequestMethod.ALL && routes.some((route) => pathRegex.test(`/${route}`)),
  );
}

function routesOf(path: string): string[] {
  const inner = normalisePath(path).slice(1);
  return inner === '' ? ['/'] : [inner, `${inner}/{*rest}`];
}

/**
 * Lets a handler answer all requests at `path`, on Express and Fastify; to be called in `configure()` of a module.
 * It runs behind the application's own middleware and before guards, pipes and interceptors, which it needs none of.
 *
 * On Fastify it is a hook behind the one that runs middleware: being middleware there costs as much as all that Fastify does.
 */
export function mountHandler(
  consumer: MiddlewareConsumer,
  handler: HttpHandler,
  path: string,
  { httpAdapter }: HttpAdapterHost,
): void {
  if (httpAdapter?.getType() === 'fastify') {
    hookInto(httpAdapter.getInstance<Fastify>(), handler);
    return;
  }
  consumer
    .apply((request: Raw<IncomingMessage>, response: Raw<ServerResponse>, next: () => void) =>
      handler(request, response, next),
    )
    .forRoutes(...routesOf(path));
  if (httpAdapter?.getType() !== 'express') return;
  // Express parses bodies before any module's middleware runs, and does not mind how long they take.
  const server = httpAdapter.getHttpServer() as Server | undefined;
  server?.prependListener('request', (request, response) => handler.limitBody(request, response));
  // What fails there comes here.
  httpAdapter.use(
    (error: unknown, request: Raw<IncomingMessage>, response: ServerResponse, next: Next) => {
      const problem = problemOfParser(error);
      if (problem === undefined) next(error);
      else handler.refuse(request, response, problem, () => next(error));
    },
  );
}

/** What is needed of a Fastify instance. */
interface Fastify {
  addHook(
    name: 'onRequest',
    hook: (
      request: { raw: IncomingMessage },
      reply: { raw: ServerResponse; hijack(): void },
      done: Next,
    ) => void,
  ): void;
}

function hookInto(fastify: Fastify, handler: HttpHandler): void {
  fastify.addHook('onRequest', (request, reply, done) => {
    let isElsewhere = false;
    handler(request.raw, reply.raw, (error) => {
      isElsewhere = true;
      done(error);
    });
    if (!isElsewhere) reply.hijack();
  });
}

type Raw<T> = T & { originalUrl?: string };
type Next = (error?: unknown) => void;

/** The errors of Express and its body parser carry a status, those of the parser a type too. Others are the application's. */
function problemOfParser(error: unknown): HttpProblem | undefined {
  if (!(error instanceof Error) || !('status' in error)) return undefined;
  const { status } = error;
  if (error instanceof URIError && status === 400) {
    const rule = { field: 'path', rule: 'URL-encoded' };
    return unreadable('INVALID_PATH', 'The path is not URL-encoded', rule);
  }
  // What inflates for the parser has an errno instead.
  if ('errno' in error && status === 400) {
    return badBody('The body is not what "content-encoding" says', 'encoded as its header says');
  }
  if (!('type' in error)) return undefined;
  if (status === 413) return new HttpProblem(413, 'BODY_TOO_LARGE', 'The body is too large');
  if (status === 415) return new HttpProblem(415, 'UNSUPPORTED_MEDIA_TYPE', error.message);
  if (status !== 400) return undefined;
  return 'body' in error && isJson(error.body)
    ? badBody('Expected the body to be an object or an array', 'an object or an array')
    : badBody('The body is not valid JSON', 'valid JSON');
}

/** Whether it is JSON: the parser of Express refuses what is neither an object nor an array. */
function isJson(text: unknown): boolean {
  try {
    return JSON.parse(text as string) !== undefined;
  } catch {
    return false;
  }
}
