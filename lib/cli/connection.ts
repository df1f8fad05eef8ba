import type { Command } from 'commander';
import { RemoteSemaphoreStore } from '../client/remote.semaphore-store.js';
import { InvalidOptionsError } from '../semaphore.errors.js';
import { SemaphoreService } from '../semaphore.service.js';
import { UsageError } from './cli-error.js';
import type { Environment } from './environment.js';

/** Flags that say where the semaphores are. */
export interface ConnectionFlags {
  redisUrl?: string;
  keyPrefix?: string;
  url?: string;
  apiKey?: string;
}

export function withConnection(command: Command): Command {
  return command
    .optionsGroup('Where the semaphores are:')
    .option('--redis-url <url>', 'Redis, such as redis://localhost:6379 (env: REDIS_URL)')
    .option(
      '--key-prefix <prefix>',
      'what the keys in Redis begin with (env: SEMAPHORE_KEY_PREFIX; default: semaphore)',
    )
    .option('--url <url>', 'a lock server instead of Redis (env: SEMAPHORE_URL)')
    .option('--api-key <key>', "the server's API key (env: SEMAPHORE_API_KEY)");
}

/**
 * The service on Redis or on a server. Of flags, environment and `.env` the first decides that says where; a server goes
 * before Redis.
 * @throws {UsageError}
 */
export function openService(flags: ConnectionFlags, env: Environment): SemaphoreService {
  if (flags.url !== undefined && flags.redisUrl !== undefined) {
    throw new UsageError('--url and --redis-url exclude each other.');
  }
  const places = [
    { url: flags.url, redisUrl: flags.redisUrl },
    ...env.levels.map((level) => ({ url: level['SEMAPHORE_URL'], redisUrl: level['REDIS_URL'] })),
  ];
  const place = places.find(({ url, redisUrl }) => url || redisUrl);
  if (place === undefined) {
    throw new UsageError(
      'Say where the semaphores are: --redis-url or REDIS_URL for Redis, --url or SEMAPHORE_URL for a server.',
    );
  }
  if (place.url) {
    const apiKey = flags.apiKey ?? env.get('SEMAPHORE_API_KEY');
    return new SemaphoreService({ store: openRemote(place.url, apiKey), log: 'none' });
  }
  return new SemaphoreService({
    ...redisOptions(place.redisUrl as string, flags, env),
    log: 'none',
  });
}

/** @throws {UsageError} what cannot be an API key at all: not that the server refuses it */
function openRemote(url: string, apiKey: string | undefined): RemoteSemaphoreStore {
  try {
    return new RemoteSemaphoreStore({ url, ...(apiKey === undefined ? {} : { apiKey }) });
  } catch (error) {
    if (!(error instanceof InvalidOptionsError) || error.option !== 'apiKey') throw error;
    throw new UsageError(`The API key must be ${error.rule}.`);
  }
}

/** @throws {UsageError} ioredis is not installed */
export function redisOptions(
  redis: string | object,
  { keyPrefix }: Pick<ConnectionFlags, 'keyPrefix'>,
  env: Environment,
): { redis: string | object; keyPrefix?: string } {
  requireIoredis();
  const prefix = keyPrefix ?? env.get('SEMAPHORE_KEY_PREFIX');
  return { redis, ...(prefix === undefined ? {} : { keyPrefix: prefix }) };
}

function requireIoredis(): void {
  try {
    import.meta.resolve('ioredis');
  } catch {
    throw new UsageError(
      'Redis needs the package ioredis, which is not installed: npm install ioredis ' +
        '(or, without installing: npx -p nestjs-semaphore -p ioredis nestjs-semaphore …).',
    );
  }
}
