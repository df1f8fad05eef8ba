import { MAX_TIMER_MS } from '../limits.js';
import { refuseUnknown, requireObject } from '../option-rules.js';
import { InvalidOptionsError } from '../semaphore.errors.js';
import { MAX_GRACE_MS, MIN_GRACE_MS } from '../store/remote/wire.js';

/** TLS settings of the connections, as Node's `https` takes them. Defaults are those of Node. */
export interface RemoteTlsOptions {
  /** Certificates to trust, as PEM, instead of those that Node trusts. */
  ca?: string | Buffer | (string | Buffer)[] | undefined;
  /** Certificate of this client, as PEM. */
  cert?: string | Buffer | undefined;
  /** Its private key, as PEM. */
  key?: string | Buffer | undefined;
  /** What the private key is encrypted with, where it is. */
  passphrase?: string | undefined;
  /** Name that the server's certificate must have, where it is not the one in the URL. */
  servername?: string | undefined;
}

/** Options of {@link RemoteSemaphoreStore}. */
export interface RemoteSemaphoreStoreOptions {
  /**
   * Where the server is, with the path that it is mounted at. Of several the next is tried when one cannot be reached:
   * they must use the same Redis.
   */
  url: string | readonly string[];
  /** Key that the server knows; left out for a server without keys. */
  apiKey?: string | undefined;
  /** How long one call may take, in milliseconds, at least 1. @default 5000 */
  storeTimeoutMs?: number | undefined;
  /**
   * How long the server keeps what this process holds when their connection breaks, in milliseconds from 500 to 60,000: a
   * crashed process gives its permits back within this time. When the server cannot be reached for as long, permits count
   * as lost here too, before the server may give them to another: a shorter time frees sooner what a crash left, and forgives
   * shorter pauses of the network and of both processes.
   * @default 5000
   */
  graceMs?: number | undefined;
  /** For a URL with https. */
  tls?: RemoteTlsOptions | undefined;
}

export interface ResolvedRemoteOptions {
  urls: readonly [URL, ...URL[]];
  apiKey: string | undefined;
  timeoutMs: number;
  graceMs: number;
  tls: RemoteTlsOptions;
}

const NAMES = ['url', 'apiKey', 'storeTimeoutMs', 'graceMs', 'tls'];

/** @throws {InvalidOptionsError} */
export function resolveRemoteOptions(options: RemoteSemaphoreStoreOptions): ResolvedRemoteOptions {
  requireObject(options, 'an object with `url`');
  refuseUnknown(options, NAMES);
  const { url, apiKey, storeTimeoutMs = 5000, graceMs = 5000, tls = {} } = options;
  if (apiKey !== undefined && (typeof apiKey !== 'string' || !/^[\x21-\x7e]+$/.test(apiKey))) {
    throw new InvalidOptionsError('apiKey', '***', 'a string of visible ASCII characters');
  }
  if (typeof tls !== 'object' || tls === null) {
    throw new InvalidOptionsError('tls', typeof tls, 'an object of TLS settings');
  }
  return {
    urls: toUrls(url),
    apiKey,
    timeoutMs: within('storeTimeoutMs', storeTimeoutMs, 1, MAX_TIMER_MS),
    graceMs: within('graceMs', graceMs, MIN_GRACE_MS, MAX_GRACE_MS),
    tls,
  };
}

function toUrls(url: unknown): [URL, ...URL[]] {
  const [first, ...others] = (Array.isArray(url) ? url : [url]).map((one: unknown) => {
    const isUrl = typeof one === 'string' && /^https?:\/\/./.test(one) && URL.canParse(one);
    if (isUrl) return withPlainPath(new URL(one));
    throw new InvalidOptionsError('url', one, 'a URL that begins with http:// or https://');
  });
  if (first !== undefined) return [first, ...others];
  throw new InvalidOptionsError('url', url, 'a URL, or an array of at least one');
}

/** A path that begins with two slashes names another host to whatever resolves it: that one would get the API key. */
function withPlainPath(url: URL): URL {
  url.pathname = url.pathname.replace(/\/{2,}/g, '/');
  return url;
}

function within(name: string, value: unknown, least: number, most: number): number {
  if (typeof value === 'number' && value >= least && value <= most) return value;
  throw new InvalidOptionsError(name, value, `a number of milliseconds from ${least} to ${most}`);
}
