import type { ResolvedModuleOptions } from '../resolve-module-options.js';
import { MemorySemaphoreStore } from './memory/memory.semaphore-store.js';
import { RedisSemaphoreStore } from './redis/redis.semaphore-store.js';
import type { SemaphoreStore } from './semaphore-store.js';

/** The store that the options ask for; without any, the memory of this process. */
export function createStore(options: ResolvedModuleOptions): SemaphoreStore {
  const { redis, store, keyPrefix, storeTimeoutMs, minReplicas, replicaTimeoutMs } = options;
  if (store !== undefined) return store;
  if (redis === undefined) return new MemorySemaphoreStore();
  return new RedisSemaphoreStore({
    redis,
    keyPrefix,
    storeTimeoutMs,
    minReplicas,
    replicaTimeoutMs,
  });
}
