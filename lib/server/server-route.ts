import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { z } from 'zod';
import type { Access } from './api-keys.js';

/** `open`: no API key is needed. */
type RouteRole = 'open' | 'use' | 'admin';

/** An answer as JSON, where Infinity is null. */
export interface Answer {
  status: number;
  body: unknown;
  headers?: OutgoingHttpHeaders;
}

/** A request that was understood and may be done, with the semaphore that its path names. */
export interface ServerCall<Params, Query, Headers, Body> {
  request: IncomingMessage;
  response: ServerResponse;
  access: Access;
  params: Params;
  query: Query;
  headers: Headers;
  body: Body;
}

/** What the OpenAPI document says of a call. */
export interface DocumentedCall {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  path: string;
  /** Its name in the OpenAPI document. */
  operationId: string;
  summary: string;
  role: RouteRole;
  params?: z.ZodObject;
  query?: z.ZodObject;
  /** Of the request's headers only those named here. */
  headers?: z.ZodObject;
  body?: z.ZodType;
  /** What it answers when nothing is wrong. */
  answers: Readonly<Record<number, DocumentedAnswer>>;
  /** Which problems it answers, beside 400, 401, 403, 500 and 503, and those of a body. */
  problems?: readonly number[];
}

export interface DocumentedAnswer {
  description: string;
  /** Of JSON. */
  schema?: z.ZodType;
  /** Of what is not JSON. @default a stream of events, without a schema */
  content?: string;
}

/** One call of the table in docs/lock-server.md: what the OpenAPI document says of it, and what it does. */
export interface ServerRoute extends DocumentedCall {
  /** Answers, or keeps the response for itself and returns nothing. */
  handle(call: ServerCall<never, never, never, never>): Promise<Answer | undefined>;
}

type Output<Schema> = Schema extends z.ZodType ? z.output<Schema> : undefined;

/** A route whose handler gets what its schemas make of the request. */
export function serverRoute<
  Params extends z.ZodObject | undefined = undefined,
  Query extends z.ZodObject | undefined = undefined,
  Headers extends z.ZodObject | undefined = undefined,
  Body extends z.ZodType | undefined = undefined,
>(
  route: Omit<ServerRoute, 'params' | 'query' | 'headers' | 'body' | 'handle'> & {
    params?: Params;
    query?: Query;
    headers?: Headers;
    body?: Body;
    handle(
      call: ServerCall<Output<Params>, Output<Query>, Output<Headers>, Output<Body>>,
    ): Promise<Answer | undefined>;
  },
): ServerRoute {
  return route as ServerRoute;
}
