import { MAX_TIMER_MS } from '../limits.js';
import { mergeSecretly, type Rule, wholeNumber } from '../option-rules.js';

/** What a key may do: `use` acquires and looks; `admin` also sets limits and releases by force. */
export type ApiKeyRole = 'use' | 'admin';

/** A key of the lock server with what it may do. */
export interface ApiKeyOptions {
  /** At least 16 characters. */
  key: string;
  /** What it may do. @default 'admin' */
  role?: ApiKeyRole | undefined;
  /** Only semaphores whose keys begin with one of these. @default all */
  prefixes?: readonly string[] | undefined;
  /**
   * Whose key it is. Keys of one name are the same caller: give the old and the new key one name to rotate them.
   * @default a name of its own
   */
  name?: string | undefined;
}

/** Options of the lock server. */
export interface SemaphoreServerOptions {
  /**
   * A plain string may do everything. Several at once are possible, for rotation. Without any, only requests from this
   * machine are served.
   * @default []
   */
  apiKeys?: readonly (string | ApiKeyOptions)[] | undefined;
  /** What the server's paths stand behind, in an application. @default '' */
  path?: string | undefined;
  /** How long a lock of `/lock` lasts that does not say `exp`, in milliseconds >= 1. @default 1000 */
  defaultExpiryMs?: number | undefined;
  /**
   * How long a session whose stream broke may be resumed, in milliseconds; until then its permits stay taken.
   * @default 0
   */
  sessionGraceMs?: number | undefined;
  /** Longest body of a request, in bytes. @default 65_536 */
  maxBodyBytes?: number | undefined;
  /** How long a body may take to arrive, in milliseconds. @default 10_000 */
  bodyTimeoutMs?: number | undefined;
  /**
   * How many requests for permits one API key's name may have open, and how many permits each RemoteSemaphoreStore may wait
   * for and hold.
   * @default 10_000
   */
  maxOpenWaits?: number | undefined;
  /**
   * How many streams (sessions, events) one API key's name may have open, and how many RemoteSemaphoreStores. As many sessions
   * may wait for their client to come back; beyond that the one that waits longest ends.
   * @default 1000
   */
  maxSessions?: number | undefined;
  /** How often a silent stream gets a comment, in milliseconds: proxies close what is silent. @default 15_000 */
  heartbeatMs?: number | undefined;
  /**
   * How long the place of a request that answered 202 (`Prefer: wait=…`) is kept for the next one, in milliseconds.
   * @default 5000
   */
  waitGraceMs?: number | undefined;
}

export type ResolvedServerOptions = Required<SemaphoreServerOptions>;

const DEFAULTS: ResolvedServerOptions = Object.freeze({
  apiKeys: [],
  path: '',
  defaultExpiryMs: 1000,
  sessionGraceMs: 0,
  maxBodyBytes: 65_536,
  bodyTimeoutMs: 10_000,
  maxOpenWaits: 10_000,
  maxSessions: 1000,
  heartbeatMs: 15_000,
  waitGraceMs: 5000,
});

const RULES: Record<keyof SemaphoreServerOptions, Rule> = {
  apiKeys: { text: 'an array', holds: Array.isArray, isSecret: true },
  path: {
    text: 'a path such as /locks',
    holds: (value) => typeof value === 'string' && /^[\w./~-]*$/.test(value),
  },
  defaultExpiryMs: wholeNumber(1, MAX_TIMER_MS),
  sessionGraceMs: wholeNumber(0, MAX_TIMER_MS),
  maxBodyBytes: wholeNumber(1, MAX_TIMER_MS),
  bodyTimeoutMs: wholeNumber(1, MAX_TIMER_MS),
  maxOpenWaits: wholeNumber(1, MAX_TIMER_MS),
  maxSessions: wholeNumber(1, MAX_TIMER_MS),
  heartbeatMs: wholeNumber(1, MAX_TIMER_MS),
  waitGraceMs: wholeNumber(0, MAX_TIMER_MS),
};

/** @throws {InvalidOptionsError} naming the option, the value and the rule */
export function resolveServerOptions(options: SemaphoreServerOptions): ResolvedServerOptions {
  return mergeSecretly(DEFAULTS, RULES, options);
}
