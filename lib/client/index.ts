export type { RemoteSemaphoreStoreOptions, RemoteTlsOptions } from './remote.options.js';
export { RemoteSemaphoreStore } from './remote.semaphore-store.js';
