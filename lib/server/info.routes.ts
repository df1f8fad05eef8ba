import type { SemaphoreService } from '../semaphore.service.js';
import { openApiDocument } from './openapi.js';
import { storeDown } from './problems.js';
import * as schemas from './schemas.js';
import { type DocumentedCall, type ServerRoute, serverRoute } from './server-route.js';
import { z } from 'zod';

/** How long one look at the store serves those who ask for the health. */
const FRESH_MS = 1000;

/** What needs no API key, and tells nothing of any semaphore. */
export function infoRoutes(
  semaphores: SemaphoreService,
  others: readonly DocumentedCall[],
  basePath: () => string,
): ServerRoute[] {
  let isReachable: Promise<boolean> | undefined;

  const health = serverRoute({
    method: 'GET',
    path: '/health',
    operationId: 'health',
    summary: 'Whether the server can reach its store',
    role: 'open',
    answers: {
      200: { description: 'It can', schema: schemas.health },
      503: { description: 'It cannot; see Retry-After', schema: schemas.unhealthy },
    },
    async handle() {
      isReachable ??= look();
      if (!(await isReachable)) throw storeDown({ status: 'unavailable' });
      return { status: 200, body: { status: 'ok' } };
    },
  });

  function look(): Promise<boolean> {
    setTimeout(() => {
      isReachable = undefined;
    }, FRESH_MS).unref();
    return semaphores.health().then(
      ({ latencyMs }) => latencyMs !== undefined,
      () => false,
    );
  }

  const openApi: ServerRoute = serverRoute({
    method: 'GET',
    path: '/openapi.json',
    operationId: 'openApi',
    summary: 'This document',
    role: 'open',
    answers: { 200: { description: 'An OpenAPI 3.1 document', schema: z.looseObject({}) } },
    async handle() {
      // Behind the address that the document came from.
      return { status: 200, body: { ...document, servers: [{ url: basePath() || '/' }] } };
    },
  });

  const document = openApiDocument([...others, health, openApi]);
  return [health, openApi];
}
