import type { SemaphoreService } from '../semaphore.service.js';
import { internalsOf } from '../service-internals.js';
import type { Access } from './api-keys.js';
import * as schemas from './schemas.js';
import { type ServerRoute, serverRoute } from './server-route.js';
import { Transfers } from './transfers.js';

/** Lists and snapshots of one caller that are in memory at once: each may have megabytes. */
const AT_ONCE = 8;

/** Look at semaphores, and set their limits. */
export function semaphoreRoutes(semaphores: SemaphoreService): ServerRoute[] {
  const transfers = new Transfers(AT_ONCE);

  const list = serverRoute({
    method: 'GET',
    path: '/v1/semaphores',
    operationId: 'listSemaphores',
    summary: 'Keys that have holders or waiters now',
    role: 'use',
    query: schemas.listQuery,
    answers: { 200: { description: 'Their keys', schema: schemas.keyList } },
    async handle({ response, access, query: { pattern, limit } }) {
      await transfers.answer(access.name, response, () => keysOf(access, pattern || '*', limit));
      return undefined;
    },
  });

  async function keysOf(access: Access, pattern: string, limit: number): Promise<object> {
    const keys: string[] = [];
    let truncated = false;
    const found = internalsOf(semaphores).list(pattern, (key) => access.mayUse(key));
    for await (const key of found) {
      truncated = keys.length === limit;
      if (truncated) break;
      keys.push(key);
    }
    return { keys, ...(truncated && { truncated }) };
  }

  const inspect = serverRoute({
    method: 'GET',
    path: '/v1/semaphores/{key}',
    operationId: 'inspectSemaphore',
    summary: 'Who holds and who waits now',
    role: 'use',
    params: schemas.keyParams,
    answers: { 200: { description: 'Holders and waiters', schema: schemas.snapshot } },
    async handle({ response, access, params: { key } }) {
      await transfers.answer(access.name, response, () => semaphores.inspect(key));
      return undefined;
    },
  });

  const setLimit = serverRoute({
    method: 'PUT',
    path: '/v1/semaphores/{key}',
    operationId: 'setPermits',
    summary: 'Sets the limit, whatever callers say, until it is cleared with null',
    role: 'admin',
    params: schemas.keyParams,
    body: schemas.limitBody,
    answers: { 200: { description: 'The limit', schema: schemas.limit } },
    async handle({ params: { key }, body: { permits } }) {
      await semaphores.setPermits(key, permits);
      return { status: 200, body: { key, permits } };
    },
  });

  return [list, inspect, setLimit];
}
