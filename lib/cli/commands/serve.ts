import type { Command } from 'commander';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { type AddressInfo, isIP } from 'node:net';
import { MAX_TIMER_MS } from '../../limits.js';
import { UsageError } from '../cli-error.js';
import { parseApiKeys } from '../../server/api-keys.js';
import { redisOptions } from '../connection.js';
import type { Environment } from '../environment.js';
import type { Output } from '../output.js';
import { port, readAs, repeatable, wholeNumber } from '../values.js';

export interface ServeFlags {
  port?: number;
  host?: string;
  redisPort?: number;
  redisHost?: string;
  /** false: the store in memory. */
  redis: boolean;
  redisUrl?: string;
  keyPrefix?: string;
  defaultExpiry?: number;
  apiKey?: string[];
  tlsCert?: string;
  tlsKey?: string;
}

const expiry = wholeNumber(1, MAX_TIMER_MS);

/** How long open requests may take to end when the server stops. */
const STOP_WITHIN_MS = 3000;

/** Longer than proxies keep idle connections, usually a minute: they would send requests into one that closes. */
const KEEP_ALIVE_MS = 65_000;

export function withServeOptions(command: Command): Command {
  return command
    .optionsGroup('The server:')
    .option(
      '-p, --port <port>',
      'port to listen on, 0 for a free one (env: PORT; default: 3000)',
      port,
    )
    .option('-H, --host <host>', 'address to listen on (env: HOST; default: localhost)')
    .option(
      '--api-key <key>',
      'a key that clients must send, of at least 16 characters; can be repeated (env: API_KEYS, with commas between). ' +
        'Without any the server listens on loopback only',
      repeatable,
    )
    .option('--tls-cert <file>', 'certificate for HTTPS, as PEM; with --tls-key')
    .option('--tls-key <file>', 'its private key, as PEM')
    .option(
      '-E, --default-expiry <ms>',
      'lease of POST /lock without exp (env: DEFAULT_EXPIRY; default: 1000)',
      expiry,
    )
    .optionsGroup('Where the semaphores are:')
    .option('-R, --redis-host <host>', 'host of Redis (env: REDIS_HOST; default: localhost)')
    .option('-P, --redis-port <port>', 'its port (env: REDIS_PORT; default: 6379)', port)
    .option('--redis-url <url>', 'instead of the two (env: REDIS_URL)')
    .option(
      '--key-prefix <prefix>',
      'what the keys in Redis begin with (env: SEMAPHORE_KEY_PREFIX; default: semaphore)',
    )
    .option('-N, --no-redis', 'no Redis: keep all in the memory of this process');
}

/** Serves until SIGTERM or SIGINT. */
export async function serve(flags: ServeFlags, env: Environment, output: Output): Promise<void> {
  requireOnePlace(flags);
  const host = withoutBrackets(flags.host ?? env.get('HOST') ?? 'localhost');
  const apiKeys = flags.apiKey ?? parseApiKeys(env.get('API_KEYS'));
  if (apiKeys.length === 0 && !isLoopback(host)) {
    throw new UsageError(
      `Without an API key the server listens on loopback only, not on ${host}: ` +
        'anybody who reaches it could take and free every semaphore. Give --api-key, or --host localhost.',
    );
  }
  const stopped = untilStopped();
  // Only a server needs all that this loads.
  const { openLockServer } = await import('../lock-server.js');
  const locks = openLockServer({
    hasJsonLog: output.isJson,
    apiKeys,
    defaultExpiryMs: flags.defaultExpiry ?? readAs(env, 'DEFAULT_EXPIRY', expiry),
    ...(flags.redis ? redisOptions(redisOf(flags, env), flags, env) : {}),
  });
  let http: { server: Server; protocol: string } | undefined;
  try {
    http = createHttpServer(flags, locks.handler);
    const { server, protocol } = http;
    server.listen(flags.port ?? readAs(env, 'PORT', port) ?? 3000, host);
    await once(server, 'listening');
    const { port: listening } = server.address() as AddressInfo;
    const url = `${protocol}://${isIP(host) === 6 ? `[${host}]` : host}:${listening}`;
    const where = flags.redis ? 'Redis' : 'the memory of this process';
    output.line({ url, store: flags.redis ? 'redis' : 'memory', apiKeys: apiKeys.length }, [
      `Listening on ${url}; the semaphores are in ${where}.`,
      ...(apiKeys.length === 0 ? ['There is no API key: only this machine can connect.'] : []),
    ]);
    await stopped;
  } finally {
    const ending = http && closeServer(http.server);
    await locks.close();
    // What was answered in the meantime is idle now.
    http?.server.closeIdleConnections();
    await ending;
  }
}

/** @throws {UsageError} */
function requireOnePlace({ redis, redisUrl, redisHost, redisPort }: ServeFlags): void {
  const part = redisHost ?? redisPort;
  if (!redis && (redisUrl ?? part) !== undefined) {
    throw new UsageError('--no-redis excludes --redis-url, --redis-host and --redis-port.');
  }
  if (redisUrl !== undefined && part !== undefined) {
    throw new UsageError('--redis-url excludes --redis-host and --redis-port.');
  }
}

/** An address of IPv6 may be written as in a URL. */
function withoutBrackets(host: string): string {
  const inner = /^\[(.+)\]$/.exec(host)?.[1];
  return inner !== undefined && isIP(inner) === 6 ? inner : host;
}

/** Where Redis is: of flags, environment and `.env` the first that names it decides whether by a URL, or by a host and a port. */
function redisOf(flags: ServeFlags, env: Environment): string | object {
  const { redisUrl, redisHost, redisPort } = flags;
  if (redisUrl !== undefined) return redisUrl;
  const isSaid = redisHost !== undefined || redisPort !== undefined;
  const first = env.levels.find((level) => level.REDIS_URL || level.REDIS_HOST || level.REDIS_PORT);
  if (!isSaid && first?.REDIS_URL) return first.REDIS_URL;
  return {
    host: redisHost ?? env.get('REDIS_HOST') ?? 'localhost',
    port: redisPort ?? readAs(env, 'REDIS_PORT', port) ?? 6379,
  };
}

function createHttpServer(
  { tlsCert, tlsKey }: ServeFlags,
  handler: RequestListener,
): { server: Server; protocol: string } {
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw new UsageError('--tls-cert and --tls-key go together.');
  }
  if (tlsCert === undefined || tlsKey === undefined) {
    return { server: createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, handler), protocol: 'http' };
  }
  try {
    const files = { cert: readFileSync(tlsCert), key: readFileSync(tlsKey) };
    const options = { ...files, keepAliveTimeout: KEEP_ALIVE_MS };
    return { server: createSecureServer(options, handler), protocol: 'https' };
  } catch (error) {
    throw new UsageError(
      `The files of --tls-cert and --tls-key cannot be used: ${(error as Error).message}`,
    );
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

function untilStopped(): Promise<unknown> {
  return Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
}

/** Takes no new connections; those that are open end when their requests have, and are cut when that takes too long. */
function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), STOP_WITHIN_MS);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
