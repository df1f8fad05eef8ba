import calculateSlot from 'cluster-key-slot';
import { createHash } from 'node:crypto';
import { StoreUnavailableError } from '../../semaphore.errors.js';
import type { Clock } from '../clock.js';
import type { Connection } from './redis.connection.js';
import type { RedisKeys } from './redis.keys.js';
import type { RedisLink } from './redis.link.js';
import { semaphoreScript } from './scripts/embedded.js';

/** One operation of the script: see the scripts for codes, arguments and answers. */
export interface Operation {
  /** Name of the semaphore's state in Redis. */
  state: string;
  code: 'A' | 'R' | 'N' | 'C' | 'P' | 'L' | 'F' | 'I';
  args: readonly (string | number)[];
}

/** When a call was sent by the local clock, and what the server's clock said when it ran. */
export interface Sample {
  sentAt: number;
  serverNow: number;
}

export interface Answer<T> {
  value: T;
  sample: Sample;
}

/** id, token, expiry, acquired of waiters of this process which the call made state. */
export type OwnGrants = readonly [string, number, number, number, ...unknown[]] | readonly [];

interface Pending extends Operation {
  issuedAt: number;
  resolve(answer: Answer<never>): void;
  reject(error: Error): void;
}

const MAX_OPERATIONS_A_CALL = 256;
const RETRY_AFTER_MS = 25;
const NO_LIMIT = Number.MAX_SAFE_INTEGER;
const SHA = createHash('sha1').update(semaphoreScript).digest('hex');

/** Answers of a server that cannot do it now, but did nothing. */
const TRANSIENT = /^(LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|READONLY|NOREPLICAS|BUSY |UNBLOCKED)/;

/**
 * Sends operations to Redis: all of one turn of the event loop travel in one script call (in Cluster: one a slot), and
 * each is settled within the time limit. A call whose fate is unknown is repeated: operations are idempotent.
 */
export class RedisCalls {
  private queue: Pending[] = [];
  /** A server's clock, as seen last, by slot in Cluster. */
  private readonly samples = new Map<number, Sample>();
  private highestToken = 0;

  constructor(
    private readonly link: RedisLink,
    private readonly keys: RedisKeys,
    private readonly client: string,
    private readonly clock: Clock,
    private readonly timeoutMs: number,
    private readonly onOwnGrants: (grants: OwnGrants, sample: Sample) => void,
  ) {}

  /** @throws {StoreUnavailableError} when it did not succeed in time: whether it was done is then unknown */
  send<T>(operation: Operation): Promise<Answer<T>> {
    return new Promise((resolve, reject) => {
      if (this.queue.length === 0) process.nextTick(() => this.flush());
      this.queue.push({ ...operation, issuedAt: this.clock.now(), resolve, reject });
    });
  }

  /** Runs a script that only reads one semaphore. @throws {StoreUnavailableError} */
  async read(script: string, state: string): Promise<unknown> {
    const run = async (): Promise<unknown> => {
      const connection = await this.link.ready(this.timeoutMs);
      return this.inTime(connection.eval(script, 3, ...this.keys.all(state)));
    };
    return run().catch((error: StoreUnavailableError) => {
      throw error.of(this.keys.keyOf(state));
    });
  }

  /** What comes of any other command, within the time limit. @throws {StoreUnavailableError} */
  inTime<T>(reply: Promise<T>): Promise<T> {
    return this.limited(reply, this.timeoutMs).catch((error: unknown) => {
      throw error instanceof StoreUnavailableError ? error : this.unavailable(error);
    });
  }

  /** Tokens grow beyond this one even when the server lost it, and its clock is behind. */
  noteToken(token: number): void {
    if (token > this.highestToken) this.highestToken = token;
  }

  slotOf(state: string): number {
    return this.link.isCluster ? calculateSlot(state) : 0;
  }

  private flush(): void {
    const operations = this.queue;
    this.queue = [];
    for (const group of this.grouped(operations)) {
      for (let i = 0; i < group.length; i += MAX_OPERATIONS_A_CALL) {
        const part =
          group.length <= MAX_OPERATIONS_A_CALL ? group : group.slice(i, i + MAX_OPERATIONS_A_CALL);
        void this.run(part);
      }
    }
  }

  private grouped(operations: Pending[]): Iterable<Pending[]> {
    if (!this.link.isCluster) return [operations];
    const groups = new Map<number, Pending[]>();
    for (const operation of operations) {
      const slot = this.slotOf(operation.state);
      const group = groups.get(slot);
      if (group === undefined) groups.set(slot, [operation]);
      else group.push(operation);
    }
    return groups.values();
  }

  /** Settles every operation of the group, whatever happens. */
  private async run(group: Pending[]): Promise<void> {
    const end = (group[0] as Pending).issuedAt + this.timeoutMs;
    let failure: unknown;
    for (;;) {
      const leftMs = end - this.clock.now();
      if (leftMs <= 0) return this.fail(group, this.unavailable(failure));
      try {
        const ready = this.link.ready(leftMs);
        const connection = ready instanceof Promise ? await ready : ready;
        if (await this.attempt(connection, group, end)) return;
        continue;
      } catch (error) {
        failure = error;
      }
      if (failure instanceof StoreUnavailableError) return this.fail(group, failure);
      if (isReply(failure) && !TRANSIENT.test(failure.message)) {
        // One bad key must not fail the others that travelled with it.
        if (group.length === 1) return this.fail(group, this.unavailable(failure));
        await Promise.all(group.map((operation) => this.run([operation])));
        return;
      }
      if (isReply(failure) && failure.message.startsWith('READONLY')) this.link.suspect(failure);
      await this.pause();
    }
  }

  /** @returns false when the server refused the call because it came too late by its clock */
  private async attempt(
    connection: Connection,
    group: readonly Pending[],
    end: number,
  ): Promise<boolean> {
    const sentAt = this.clock.now();
    const slot = this.slotOf((group[0] as Pending).state);
    const args = this.build(group, this.notAfter(slot, end));
    const reply = await this.limited(evaluate(connection, group.length * 3, args), end - sentAt);
    const sample = { sentAt, serverNow: reply[0] as number };
    this.samples.set(slot, sample);
    if (reply.length === 1) return false;
    group.forEach((operation, i) => operation.resolve({ value: reply[i + 1] as never, sample }));
    const grants = reply[group.length + 1] as OwnGrants;
    if (grants.length > 0) this.onOwnGrants(grants, sample);
    return true;
  }

  private build(group: readonly Pending[], notAfter: number): (string | number)[] {
    const args: (string | number)[] = [];
    for (const { state } of group) args.push(...this.keys.all(state));
    args.push(this.keys.prefix, this.client, notAfter, this.highestToken);
    for (const operation of group) {
      args.push(operation.code);
      for (const arg of operation.args) args.push(arg);
    }
    return args;
  }

  /**
   * When its caller has given up, a call that still lies in some buffer must not be run: the server compares this with its clock.
   * The estimate is never early: the sample's server time was read after `sentAt`.
   */
  private notAfter(slot: number, end: number): number {
    const sample = this.samples.get(slot);
    return sample === undefined ? NO_LIMIT : Math.ceil(sample.serverNow + (end - sample.sentAt));
  }

  private limited<T>(reply: Promise<T>, withinMs: number): Promise<T> {
    return new Promise((resolve, reject) => {
      const stop = this.clock.schedule(() => {
        const error = new StoreUnavailableError(
          `Redis did not answer within ${Math.round(withinMs)} ms`,
        );
        this.link.suspect(error);
        reject(error);
      }, withinMs);
      reply.then(resolve, reject).finally(stop);
    });
  }

  private fail(group: readonly Pending[], error: StoreUnavailableError): void {
    for (const { state, reject } of group) reject(error.of(this.keys.keyOf(state)));
  }

  private pause(): Promise<void> {
    return new Promise((resolve) => this.clock.schedule(resolve, RETRY_AFTER_MS));
  }

  private unavailable(cause: unknown): StoreUnavailableError {
    return new StoreUnavailableError(
      cause instanceof Error ? cause.message : `no answer within ${this.timeoutMs} ms`,
      undefined,
      cause,
    );
  }
}

async function evaluate(
  connection: Connection,
  keys: number,
  args: (string | number)[],
): Promise<unknown[]> {
  try {
    return (await connection.evalsha(SHA, keys, ...args)) as unknown[];
  } catch (error) {
    if (!isReply(error) || !error.message.startsWith('NOSCRIPT')) throw error;
    return (await connection.eval(semaphoreScript, keys, ...args)) as unknown[];
  }
}

/** Redis answered, with an error: as opposed to a broken connection. */
function isReply(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError';
}
