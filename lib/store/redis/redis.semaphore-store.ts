import { InvalidOptionsError } from '../../semaphore.errors.js';
import { resolveModuleOptions } from '../../resolve-options.js';
import type { RedisConnection } from '../../semaphore.options.js';
import { newClientId } from '../client-id.js';
import { SemaphoreStore, type StoreClient, type StoreSession } from '../semaphore-store.js';
import { createConnector } from './redis.connection.js';
import { RedisSession } from './redis.session.js';

export interface RedisSemaphoreStoreOptions {
  /** A URL, ioredis options, or an ioredis `Redis` or `Cluster`, whose settings are used for connections of our own. */
  redis: RedisConnection;
  /** @default 'semaphore' */
  keyPrefix?: string;
  /** How long one call may take, in milliseconds. @default 5000 */
  storeTimeoutMs?: number;
  /** How many replicas must have confirmed a grant. @default 0 */
  minReplicas?: number;
  /** How long to wait for them, in milliseconds. @default 1000 */
  replicaTimeoutMs?: number;
}

/**
 * Semaphores in Redis 6.2 or newer: one server, Sentinel or Cluster. Each session opens two connections of its own (in
 * Cluster what a `Cluster` opens) and never touches one that it was given.
 * @throws {InvalidOptionsError}
 */
export class RedisSemaphoreStore extends SemaphoreStore {
  private readonly options;

  constructor(options: RedisSemaphoreStoreOptions) {
    super();
    if (options?.redis === undefined) {
      throw new InvalidOptionsError('redis', undefined, 'given');
    }
    this.options = resolveModuleOptions(options);
  }

  connect(client: StoreClient, clientId = newClientId()): StoreSession {
    const { redis, storeTimeoutMs } = this.options;
    const connector = createConnector(redis as RedisConnection, storeTimeoutMs);
    return new RedisSession(client, clientId, this.clock, connector, this.options);
  }
}
