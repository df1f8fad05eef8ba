import { z } from 'zod';
import * as schemas from './schemas.js';
import type { DocumentedAnswer, DocumentedCall } from './server-route.js';

type Json = Record<string, unknown>;

const PROBLEMS: Readonly<Record<number, string>> = {
  400: 'Something in the request is wrong; the message names the field and the rule',
  401: 'No valid API key',
  403: 'The API key may not do that',
  404: 'Unknown',
  408: 'The body did not arrive in time',
  409: 'The session has no stream at this server: nothing was done',
  410: 'The permit is not held any more, or the place in the queue was taken away by force',
  413: 'The body is too large',
  415: 'The body is not JSON, or encoded as it cannot be read',
  423: 'Somebody else has locked one of the keys',
  429: 'No permit was free, or none became free in time, or too much is open; see Retry-After',
  500: 'The server failed',
  503: 'The queue is full, the store cannot be reached, or the server shuts down; see Retry-After',
};

const SCHEMAS = {
  Problem: schemas.problem,
  RetriableProblem: schemas.retriableProblem,
  LockedProblem: schemas.lockedProblem,
};

const SCHEMA_OF: Readonly<Record<number, keyof typeof SCHEMAS>> = {
  423: 'LockedProblem',
  429: 'RetriableProblem',
  503: 'RetriableProblem',
};

const RETRY_AFTER = {
  'Retry-After': {
    description: 'Seconds after which to ask again',
    required: true,
    schema: { type: 'integer', minimum: 1 },
  },
};

/** An OpenAPI 3.1 document of the routes, from the schemas that requests are checked with. */
export function openApiDocument(routes: readonly DocumentedCall[]): Json {
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    const path = (paths[route.path] ??= {});
    path[route.method.toLowerCase()] = operationOf(route);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'nestjs-semaphore',
      version: '1',
      description: 'Semaphores and locks over HTTP',
    },
    paths,
    components: {
      schemas: Object.fromEntries(
        Object.entries(SCHEMAS).map(([name, schema]) => [name, toJsonSchema(schema, 'output')]),
      ),
      securitySchemes: {
        apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key' },
        bearer: { type: 'http', scheme: 'bearer' },
      },
    },
  };
}

function operationOf(route: DocumentedCall): Json {
  const { operationId, summary, role, body } = route;
  const parameters = [
    ...parametersOf(route.params, 'path'),
    ...parametersOf(route.query, 'query'),
    ...parametersOf(route.headers, 'header'),
  ];
  return {
    operationId,
    summary: role === 'admin' ? `${summary} (admin)` : summary,
    security: role === 'open' ? [] : [{ apiKey: [] }, { bearer: [] }],
    ...(parameters.length > 0 && { parameters }),
    ...(body && { requestBody: requestBodyOf(body) }),
    responses: { ...answersOf(route), ...problemsOf(route) },
  };
}

function parametersOf(schema: z.ZodObject | undefined, where: 'path' | 'query' | 'header'): Json[] {
  return Object.entries(schema?.shape ?? {}).map(([name, field]) => ({
    name,
    in: where,
    required: !(field as z.ZodType).safeParse(undefined).success,
    schema: toJsonSchema(field as z.ZodType),
  }));
}

function requestBodyOf(schema: z.ZodType): Json {
  return {
    required: !schema.safeParse(undefined).success,
    content: { 'application/json': { schema: toJsonSchema(schema) } },
  };
}

function answersOf({ answers }: DocumentedCall): Json {
  return Object.fromEntries(
    Object.entries(answers).map(([status, answer]) => {
      const content = contentOf(answer);
      const { description } = answer;
      return [status, { description, ...headersOf(status), ...(content && { content }) }];
    }),
  );
}

function contentOf({ schema, content = 'text/event-stream' }: DocumentedAnswer): Json | undefined {
  if (schema) return { 'application/json': { schema: toJsonSchema(schema, 'output') } };
  return content === 'none' ? undefined : { [content]: { schema: { type: 'string' } } };
}

function problemsOf({ role, body, problems = [], answers }: DocumentedCall): Json {
  const common = role === 'open' ? [] : [400, 401, 403, 500, 503];
  const ofBody = body === undefined ? [] : [408, 413, 415];
  const statuses = [...common, ...ofBody, ...problems].filter(
    (status) => answers[status] === undefined,
  );
  return Object.fromEntries(
    statuses.map((status) => {
      const description = PROBLEMS[status] ?? 'A problem';
      const schema = { $ref: `#/components/schemas/${SCHEMA_OF[status] ?? 'Problem'}` };
      const content = { 'application/json': { schema } };
      return [status, { description, ...headersOf(status), content }];
    }),
  );
}

function headersOf(status: number | string): Json {
  return SCHEMA_OF[Number(status)] === 'RetriableProblem' ? { headers: RETRY_AFTER } : {};
}

function toJsonSchema(schema: z.ZodType, io: 'input' | 'output' = 'input'): Json {
  const { $schema: _, ...json } = z.toJSONSchema(schema, { io }) as Json;
  return json;
}
