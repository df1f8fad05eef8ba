import calculateSlot from 'cluster-key-slot';
import { createHash } from 'node:crypto';
import { StoreUnavailableError } from '../../semaphore.errors.js';
import type { Clock } from '../clock.js';
import type { Connection } from './redis.connection.js';
import type { RedisKeys } from './redis.keys.js';
import { LinkDownError, type RedisLink } from './redis.link.js';
import { semaphoreScript } from './scripts/embedded.js';

/** Operations on single flights. What follows one in its turn belongs to it: they are done together. */
export type FlightCode = 'S' | 'W' | 'X';

const FLIGHT_CODES: ReadonlySet<string> = new Set<FlightCode>(['S', 'W', 'X']);

/** One operation of the script: see the scripts for codes, arguments and answers. */
export interface Operation {
  /** Name of the semaphore's state in Redis. */
  state: string;
  code: 'A' | 'R' | 'N' | 'C' | 'P' | 'L' | 'F' | 'I' | FlightCode;
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

/** More would hold up Redis, and more arguments the stack of a call. */
const MAX_OPERATIONS_A_CALL = 256;
const MAX_ARGUMENTS_A_CALL = 10_000;
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
      throw this.unavailable(error);
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
      for (const part of inParts(group)) void this.run(part);
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
  private async run(group: readonly Pending[]): Promise<void> {
    const end = (group[0] as Pending).issuedAt + this.timeoutMs;
    let left = group;
    let nothingDone = true;
    let failure: unknown;
    while (left.length > 0) {
      try {
        const connection = await this.link.ready(end - this.clock.now());
        if (await this.attempt(connection, left, end)) return;
        continue;
      } catch (error) {
        failure = error;
      }
      if (failure instanceof LinkDownError) break;
      if (!isReply(failure)) nothingDone = false;
      else if (!TRANSIENT.test(failure.message)) {
        if (left.length === 1) break;
        // One bad key must not fail the others that travelled with it.
        await Promise.all(left.map((operation) => this.run([operation])));
        return;
      } else if (failure.message.startsWith('READONLY')) this.link.suspect(failure);
      if (failure instanceof StoreUnavailableError || this.clock.now() >= end) break;
      // By then a waiter that is asked about may have been given up: the next round asks for those that are left.
      this.fail(left.filter(isPoll), failure, nothingDone);
      left = left.filter((operation) => !isPoll(operation));
      await this.pause();
    }
    this.fail(left, failure, nothingDone);
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
    for (const { state, code } of group) {
      args.push(...(FLIGHT_CODES.has(code) ? this.keys.flight(state) : this.keys.all(state)));
    }
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
      let isOver = false;
      const giveUp = (): void => {
        if (isOver) return;
        const error = new StoreUnavailableError(
          `Redis did not answer within ${Math.round(withinMs)} ms`,
        );
        this.link.suspect(error);
        reject(error);
      };
      // When this process stood still the answer may lie there unread: it is read before an immediate.
      const stop = this.clock.schedule(() => setImmediate(giveUp), withinMs);
      const over = (): void => {
        isOver = true;
        stop();
      };
      reply.then(resolve, reject).finally(over);
    });
  }

  private fail(group: readonly Pending[], cause: unknown, nothingDone: boolean): void {
    for (const { state, reject } of group) {
      const { detail, cause: origin } = this.unavailable(cause);
      reject(new StoreUnavailableError(detail, this.keys.keyOf(state), origin, nothingDone));
    }
  }

  private pause(): Promise<void> {
    return new Promise((resolve) => this.clock.schedule(resolve, RETRY_AFTER_MS));
  }

  private unavailable(cause: unknown): StoreUnavailableError {
    if (cause instanceof StoreUnavailableError) return cause;
    const detail = cause instanceof Error ? cause.message : `no answer in ${this.timeoutMs} ms`;
    return new StoreUnavailableError(detail, undefined, cause);
  }
}

function isPoll({ code }: Operation): boolean {
  return code === 'P';
}

function* inParts(group: Pending[]): Generator<Pending[]> {
  let part: Pending[] = [];
  let size = 0;
  for (const operation of group) {
    size += operation.args.length;
    const isFull = part.length >= MAX_OPERATIONS_A_CALL || size > MAX_ARGUMENTS_A_CALL;
    if (isFull && part.length > 0 && !FLIGHT_CODES.has((part.at(-1) as Pending).code)) {
      yield part;
      part = [];
      size = operation.args.length;
    }
    part.push(operation);
  }
  yield part;
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
