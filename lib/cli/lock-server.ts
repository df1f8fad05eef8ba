import { Logger } from '@nestjs/common';
import type { RequestListener } from 'node:http';
import { createSemaphoreServer, type SemaphoreServer } from '../server/semaphore-server.js';
import { SemaphoreService } from '../semaphore.service.js';
import { StderrLogger } from './stderr-logger.js';

interface LockServerOptions {
  apiKeys: string[];
  /** Undefined: the server's own default. */
  defaultExpiryMs: number | undefined;
  redis?: string | object;
  keyPrefix?: string;
  hasJsonLog: boolean;
}

export interface LockServer {
  handler: RequestListener;
  close(): Promise<void>;
}

/**
 * Semaphores, and what answers HTTP requests for them.
 * @throws {InvalidOptionsError}
 */
export function openLockServer({
  apiKeys,
  defaultExpiryMs,
  hasJsonLog,
  ...where
}: LockServerOptions): LockServer {
  Logger.overrideLogger(new StderrLogger(hasJsonLog));
  const semaphores = new SemaphoreService({ ...where, log: 'problems' });
  let server: SemaphoreServer;
  try {
    server = createSemaphoreServer({ semaphores, apiKeys, defaultExpiryMs });
  } catch (error) {
    void semaphores.close();
    throw error;
  }
  return {
    handler: (request, response) => server.handler(request, response),
    async close() {
      await server.close();
      await semaphores.close();
    },
  };
}
