export { parseApiKeys } from './api-keys.js';
export {
  createSemaphoreServer,
  type SemaphoreServer,
  type SemaphoreServerHandler,
  type SemaphoreServerParts,
} from './semaphore-server.js';
export {
  SemaphoreServerModule,
  type SemaphoreServerOptionsFactory,
} from './semaphore-server.module.js';
export type { ApiKeyOptions, ApiKeyRole, SemaphoreServerOptions } from './server.options.js';
