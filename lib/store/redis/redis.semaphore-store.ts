import { newClientId } from '../client-id.js';
import { SemaphoreStore, type StoreClient, type StoreSession } from '../semaphore-store.js';
import { createConnector } from './redis.connection.js';
import { type RedisSemaphoreStoreOptions, resolveRedisOptions } from './redis.options.js';
import { RedisSession } from './redis.session.js';

/**
 * Semaphores in Redis 6.2 or newer: one server, Sentinel or Cluster. Each session opens two connections of its own (in
 * Cluster what a `Cluster` opens) and never touches one that it was given.
 * @example new SemaphoreService({ store: new RedisSemaphoreStore({ redis: 'redis://localhost' }) })
 */
export class RedisSemaphoreStore extends SemaphoreStore {
  declare private readonly options: Required<RedisSemaphoreStoreOptions>;

  /** @throws {InvalidOptionsError} */
  constructor(options: RedisSemaphoreStoreOptions) {
    super();
    // Not enumerable: loggers print what is, and there may be a password. Nor a `#options`, which proxies would not have.
    Object.defineProperty(this, 'options', { value: resolveRedisOptions(options) });
  }

  override connect(client: StoreClient, clientId = newClientId()): StoreSession {
    const { redis, storeTimeoutMs } = this.options;
    const connector = createConnector(redis, storeTimeoutMs);
    return new RedisSession(client, clientId, this.clock, connector, this.options);
  }
}
