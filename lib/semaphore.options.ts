import type { SemaphoreEvent, SemaphoreEventType } from './semaphore.events.js';
import type { SemaphoreStore } from './store/semaphore-store.js';

/** What to do when the store cannot be reached: fail, run unguarded, or count within this process. */
export type OnStoreFailure = 'reject' | 'allow' | 'local';

/**
 * How one semaphore behaves where a call says nothing else. Each level overrides the one before: module `defaults`, then
 * `forFeature`, the decorator or the middleware, then the {@link SemaphoreOptions} of the single call.
 */
export interface SemaphoreDefaults {
  /**
   * How many units there are in all; 1 is a mutex. A whole number >= 1.
   * When processes pass different numbers, the one that the store saw last holds.
   * @default 1
   */
  permits?: number | undefined;
  /**
   * How many units one acquisition takes. A whole number from 1 to `permits`.
   * @default 1
   */
  weight?: number | undefined;
  /**
   * How long to stand in the queue, in milliseconds; 0 never waits, Infinity waits for ever.
   * @default 10_000
   */
  waitMs?: number | undefined;
  /**
   * How many may wait across all processes; beyond it acquire rejects at once. A whole number >= 0, or Infinity.
   * @default Infinity
   */
  maxWaiting?: number | undefined;
  /**
   * Higher is served first, FIFO within one priority. A whole number from -100,000 to 100,000.
   * @default 0
   */
  priority?: number | undefined;
  /**
   * How long a permit stays valid without a renewal, in milliseconds, at least 1.
   * Infinity fails closed: a crashed holder keeps its permit until it is released by force.
   * @default 30_000
   */
  leaseMs?: number | undefined;
  /**
   * Keep the lease alive while the permit is held.
   * @default true
   */
  renew?: boolean | undefined;
  /**
   * Stop renewing this long after the acquisition, in milliseconds >= 1.
   * @default Infinity
   */
  maxHoldMs?: number | undefined;
  /**
   * A released permit stays taken until this long after its acquisition, in milliseconds >= 0: for jobs that
   * run once at a time of the clock, on machines whose clocks differ.
   * @default 0
   */
  holdAtLeastMs?: number | undefined;
  /**
   * Inside an async context that already holds the key, take no second permit. When the one that is held there is released
   * first, the `signal` of this one is aborted.
   * @default false
   */
  reentrant?: boolean | undefined;
  /**
   * How often a released permit may pass to a waiter of the same process before it goes back to the global queue: throughput
   * against global FIFO. For 100 ms at most from the store's grant on, and only where the permit is the only one (`weight` =
   * `permits`, as in a mutex), so that fencing tokens go on growing. What other processes do is not known meanwhile: it goes
   * before a higher priority there too, and until it is back `inspect()` shows the token of the store's grant. A whole number
   * from 0 to 999.
   * @default 0
   */
  localPasses?: number | undefined;
  /**
   * When the store cannot be reached: 'reject' with StoreUnavailableError, 'allow' the work unguarded, or fall back to
   * a limit of `permits` within this process ('local'). The permit is then `degraded`.
   * @default 'reject'
   */
  onStoreFailure?: OnStoreFailure | undefined;
  /** Shown by `inspect()` and the dashboard. At most 256 characters. */
  label?: string | undefined;
  /**
   * What telemetry calls the semaphore: one of a few names, never one made from data, as keys are. Non-empty, at most
   * 512 characters. Semaphores of `forFeature` have theirs, and decorated methods have their key, or where that is
   * computed 'ClassName.methodName'.
   * @default 'unnamed'
   */
  name?: string | undefined;
}

/** Options of one call. */
export interface SemaphoreOptions extends SemaphoreDefaults {
  /** Gives up waiting: the call rejects with AcquireAbortedError. */
  signal?: AbortSignal | undefined;
}

/** Another name of {@link SemaphoreOptions}. */
export type AcquireOptions = SemaphoreOptions;

/** An ioredis `Redis` or `Cluster` of any copy of ioredis 5 or 6: known by its shape. */
export interface RedisInstance {
  /** Of its connection, such as 'ready'. */
  readonly status: string;
  /** Makes another one with the same settings. */
  duplicate(...args: never[]): unknown;
}

/** Options as ioredis takes them; Sentinel options included. Defaults are those of ioredis. */
export interface RedisConnectionOptions {
  /** @default 'localhost' */
  host?: string | undefined;
  /** From 0 to 65,535. @default 6379 */
  port?: number | undefined;
  /** Of a Unix socket, instead of a host and a port. */
  path?: string | undefined;
  /** For `AUTH`. */
  username?: string | undefined;
  /** For `AUTH`. */
  password?: string | undefined;
  /** Number of the database. @default 0 */
  db?: number | undefined;
  /** As Node's `tls.connect()` takes them; an object without any for TLS as it comes. */
  tls?: object | undefined;
  /** Sentinels that know the master, instead of a host and a port. */
  sentinels?: { host?: string; port?: number }[] | undefined;
  /** Of the master that the Sentinels watch. */
  name?: string | undefined;
  /** Whatever else ioredis takes. */
  [option: string]: unknown;
}

/** How to reach Redis: a URL, ioredis options, or an ioredis instance, whose settings are used for connections of our own. */
export type RedisConnection = string | RedisInstance | RedisConnectionOptions | object;

/** What goes to the Nest logger: nothing, failures and lost permits, or every event. */
export type LogLevel = 'none' | 'problems' | 'all';

/** What is logged, and where to. */
export interface LogOptions {
  /** Which kinds of events. @default 'problems' */
  level?: LogLevel | undefined;
  /** Kinds of events that are logged, or not, whatever the level says. @default {} */
  events?: Partial<Record<SemaphoreEventType, boolean>> | undefined;
  /**
   * Gets what is logged, instead of the Nest logger. When it throws or rejects, nothing but a line in that logger comes of it.
   * @default the Nest logger
   */
  sink?: ((event: SemaphoreEvent, message: string) => unknown) | undefined;
}

/** HTTP status codes of the errors. */
export interface StatusCodes {
  /** No permit is free, and `waitMs` is 0. @default 429 */
  busy?: number | undefined;
  /** None became free within `waitMs`. @default 429 */
  timeout?: number | undefined;
  /** `maxWaiting` others wait already. @default 503 */
  queueFull?: number | undefined;
  /** The store is down, or the service is shutting down. @default 503 */
  unavailable?: number | undefined;
}

/** Options of `SemaphoreModule.forRoot()` and of `new SemaphoreService()`. */
export interface SemaphoreModuleOptions {
  /** Where Redis is. Without `redis` and `store` the semaphores live in this process's memory. */
  redis?: RedisConnection | undefined;
  /** Another store. Excludes `redis`. How long its calls may take, and what its keys begin with, are options of its own. */
  store?: SemaphoreStore | undefined;
  /**
   * What every Redis key and channel begins with. At most 128 characters, no braces.
   * @default 'semaphore'
   */
  keyPrefix?: string | undefined;
  /** Options of every semaphore that says nothing else. @default {} */
  defaults?: SemaphoreDefaults | undefined;
  /**
   * How long one call to the store may take before StoreUnavailableError, in milliseconds, at least 1.
   * @default 5000
   */
  storeTimeoutMs?: number | undefined;
  /**
   * How many replicas must have confirmed a grant, from 0 to 100. 0 does not wait.
   * @default 0
   */
  minReplicas?: number | undefined;
  /**
   * How long to wait for them, in milliseconds, at least 1, and at most a third of `storeTimeoutMs`.
   * @default 1000
   */
  replicaTimeoutMs?: number | undefined;
  /**
   * What is logged: a level, or {@link LogOptions}. `SemaphoreService.setLog()` changes it later.
   * @default 'problems'
   */
  log?: LogLevel | LogOptions | undefined;
  /**
   * Metrics and spans through `@opentelemetry/api`, where that is installed. A metrics SDK has to be registered before.
   * @default true
   */
  telemetry?: boolean | undefined;
  /** HTTP status codes of the errors, where 429 and 503 do not fit. */
  statusCodes?: StatusCodes | undefined;
}
