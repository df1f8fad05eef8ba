import calculateSlot from 'cluster-key-slot';
import { hash } from 'node:crypto';
import { setImmediate } from 'node:timers';
import { groupBy } from './group-by.js';
import { StoreUnavailableError } from '../../semaphore.errors.js';
import type { Clock } from '../clock.js';
import { TimeLimits } from '../time-limits.js';
import {
  inParts,
  isAcquire,
  isOfFlight,
  isPoll,
  isRelease,
  type Operation,
  type Request,
  type Sample,
} from './operations.js';
import type { Connection } from './redis.connection.js';
import type { RedisKeys } from './redis.keys.js';
import type { RedisLink } from './redis.link.js';
import {
  codeOf,
  isLinkDown,
  isReadOnly,
  isReply,
  isTransient,
  NEXT_ATTEMPT_AFTER_MS,
  unavailable,
} from './reply-errors.js';
import { semaphoreScript } from './scripts/embedded.js';
import { ServerClocks } from './server-clocks.js';

/** id, token, expiry, acquired, limit of each waiter of this process that the call made a holder. */
export type OwnGrants = readonly (string | number)[];

/** Operations that travel together. */
interface Batch {
  operations: readonly Operation[];
  /** In Cluster; otherwise 0. */
  slot: number;
  /** By the local clock: then whoever issued them has given up. */
  end: number;
  /** Every attempt so far was refused, or not sent. */
  nothingDone: boolean;
  /** The code of the server's error when one of those that travelled together could not be done: those before it were. */
  refusal?: string;
  /** The server's answer to the attempt before, that it cannot do it now: it does answer, and a late answer is no outage. */
  notNow: Error | undefined;
}

/** The answer to a release that released. */
const DONE = 1;
/** A token is made of the server's microseconds; one that stands alone in an answer, of those of the answer. */
const TOKENS_PER_MS = 1000;
const SHA = hash('sha1', semaphoreScript);

/**
 * Sends operations to Redis: all of one turn of the event loop travel in one script call (in Cluster: one a slot), and
 * each is settled within the time limit. A call whose fate is unknown is repeated: operations are idempotent.
 */
export class RedisCalls {
  private queue: Operation[] = [];
  private readonly servers: ServerClocks;
  private readonly limits: TimeLimits;
  private highestToken = 0;

  constructor(
    private readonly link: RedisLink,
    private readonly keys: RedisKeys,
    private readonly client: string,
    private readonly clock: Clock,
    private readonly timeoutMs: number,
    private readonly onOwnGrants: (
      grants: OwnGrants,
      sample: Sample,
      operations: readonly Operation[],
    ) => void,
  ) {
    this.limits = new TimeLimits(clock);
    this.servers = new ServerClocks(clock);
  }

  /**
   * @param read makes of the answer what is wanted of it; must not throw
   * @throws {StoreUnavailableError} when it did not succeed in time: whether it was done is then unknown
   */
  send<T, R>(request: Request, read: (answer: T, sample: Sample) => R): Promise<R> {
    return new Promise((resolve, reject) => {
      const answered = (answer: T, sample: Sample): void => resolve(read(answer, sample));
      const { state, text, list, first, doubted } = request;
      // A copy that is added to has a hidden class of its own in V8, and slows down all that reads operations.
      this.issue({ state, text, list, first, doubted, answered, failed: reject });
    });
  }

  /** As {@link send}, without the cost of a promise. */
  issue(operation: Operation): void {
    // Not a tick, which would come between two timers: those that are due together travel together.
    if (this.queue.length === 0) setImmediate(this.flush);
    this.queue.push(operation);
  }

  /** Tokens grow beyond this one even when the server lost it, and its clock is behind. */
  noteToken(token: number): void {
    if (token > this.highestToken) this.highestToken = token;
  }

  slotOf(state: string): number {
    return this.link.isCluster ? calculateSlot(state) : 0;
  }

  /** Sends what was issued so far. */
  readonly flush = (): void => {
    const operations = this.queue;
    if (operations.length === 0) return;
    this.queue = [];
    const end = this.clock.now() + this.timeoutMs;
    if (!this.link.isCluster) {
      this.dispatchInParts(operations, 0, end);
      return;
    }
    const groups = groupBy(operations, ({ state }) => this.slotOf(state));
    for (const [slot, group] of groups) this.dispatchInParts(group, slot, end);
  };

  private dispatchInParts(group: Operation[], slot: number, end: number): void {
    for (const operations of inParts(group, this.link.isCluster, this.limits.count === 0)) {
      this.dispatch({ operations, slot, end, nothingDone: true, notNow: undefined });
    }
  }

  private dispatch(batch: Batch): void {
    const servers = this.link.ready(batch.end - this.clock.now());
    if (!(servers instanceof Promise)) this.attempt(servers.commands, batch);
    else {
      servers.then(
        ({ commands }) => this.attempt(commands, batch),
        (error: Error) => this.failed(batch, error),
      );
    }
  }

  /** @param command 'eval' sends the script's text, when the server does not know it */
  private attempt(
    connection: Connection,
    batch: Batch,
    command: 'evalsha' | 'eval' = 'evalsha',
  ): void {
    const sentAt = this.clock.now();
    const limit = this.limits.start(batch.end, () => {
      const { end, slot, notNow } = batch;
      const error = notNow ? unavailable(notNow) : this.link.noAnswer(end - sentAt, slot);
      this.failed(batch, error);
    });
    const script = command === 'eval' ? semaphoreScript : SHA;
    connection[command](script, batch.operations.length * 3, ...this.build(batch)).then(
      (reply) => {
        if (this.limits.stop(limit)) this.answered(batch, reply as number | unknown[], sentAt);
      },
      (error: Error) => {
        if (!this.limits.stop(limit)) return;
        const isUnknown = command === 'evalsha' && error.message.startsWith('NOSCRIPT');
        if (isUnknown && isReply(error)) this.attempt(connection, batch, 'eval');
        else this.failed(batch, error);
      },
    );
  }

  private answered(batch: Batch, reply: number | unknown[], sentAt: number): void {
    const { operations, slot } = batch;
    const serverNow =
      typeof reply === 'number' ? Math.floor(reply / TOKENS_PER_MS) : (reply[0] as number);
    const sample = { sentAt, serverNow };
    this.link.heard();
    this.servers.seen(slot, sample);
    if (typeof reply === 'number') {
      for (const operation of operations) {
        operation.answered((isAcquire(operation) ? reply : DONE) as never, sample);
      }
      return;
    }
    // The server refused the call, because it came too late by its clock.
    if (reply.length === 1) {
      this.dispatch(batch);
      return;
    }
    // First: an answer to somebody who asked again ends the wait, and the grant would find nobody.
    const grants = reply[operations.length + 1] as OwnGrants;
    if (grants.length > 0) {
      for (let i = 0; i < operations.length; i++) operations[i]?.first?.(reply[i + 1] as never);
      this.onOwnGrants(grants, sample, operations);
    }
    const isRepeated = !batch.nothingDone || batch.refusal !== undefined;
    for (let i = 0; i < operations.length; i++) {
      const operation = operations[i] as Operation;
      // An attempt before may have released it: it was held when that was sent.
      const answer = isRepeated && isRelease(operation) ? DONE : reply[i + 1];
      operation.answered(answer as never, sample);
    }
  }

  /** Tries again what may succeed in time. */
  private failed(batch: Batch, error: Error): void {
    if (isLinkDown(error)) {
      this.fail(batch, batch.operations, error);
    } else if (!isReply(error)) {
      batch.nothingDone = false;
      batch.notNow = undefined;
      for (const operation of batch.operations) operation.doubted?.(batch.end);
      this.repeat(batch, error);
    } else if (isTransient(error)) {
      batch.notNow = error;
      if (isReadOnly(error)) this.link.suspect(error);
      this.repeat(batch, error);
    } else {
      this.refused(batch, error);
    }
  }

  /** One bad key must not fail the others that travelled with it: each is tried alone. */
  private refused(batch: Batch, error: Error): void {
    if (batch.operations.length === 1) {
      this.fail(batch, batch.operations, error);
      return;
    }
    const refusal = codeOf(error);
    for (const one of batch.operations) this.dispatch({ ...batch, operations: [one], refusal });
  }

  /** Once more, when there will be time left for it. */
  private repeat(batch: Batch, error: Error): void {
    const at = this.clock.now() + NEXT_ATTEMPT_AFTER_MS;
    if (error instanceof StoreUnavailableError || at >= batch.end) {
      this.fail(batch, batch.operations, error);
      return;
    }
    // By then a waiter that is asked about may have been given up: the next round asks for those that are left.
    this.fail(batch, batch.operations.filter(isPoll), error);
    const operations = batch.operations.filter((operation) => !isPoll(operation));
    if (operations.length === 0) return;
    this.clock.schedule(() => this.dispatch({ ...batch, operations }), NEXT_ATTEMPT_AFTER_MS);
  }

  private build({ operations, slot, end }: Batch): string[] {
    const args: string[] = [];
    for (const operation of operations) {
      const { holders, result, queue } = this.keys.namesOf(operation.state);
      args.push(operation.state, isOfFlight(operation) ? result : holders, queue);
    }
    // When its caller has given up, a call that still lies in some buffer must not be run.
    const notAfter = this.servers.timeAt(slot, end);
    args.push(this.keys.prefix, this.client, String(notAfter), String(this.highestToken));
    for (const { text, list } of operations) {
      args.push(text);
      if (list !== undefined) args.push(...list);
    }
    return args;
  }

  private fail(batch: Batch, operations: readonly Operation[], error: Error): void {
    const { detail, cause } = unavailable(error);
    const isDoubtful = batch.refusal !== undefined && batch.refusal !== codeOf(error);
    const nothingDone = batch.nothingDone && !isDoubtful;
    for (const operation of operations) {
      const key = this.keys.keyOf(operation.state);
      operation.failed(new StoreUnavailableError(detail, key, cause, nothingDone));
    }
  }
}
