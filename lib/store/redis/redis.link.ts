import { detailOf, type StoreUnavailableError } from '../../semaphore.errors.js';
import type { Clock, StopTimer } from '../clock.js';
import type { StoreHealth } from '../semaphore-store.js';
import { pingMasters } from './cluster-health.js';
import { ClusterListener } from './cluster-listener.js';
import { ended, limitHandshake } from './connection-limits.js';
import {
  type ClusterConnection,
  type Connection,
  type Connector,
  nodeName,
} from './redis.connection.js';
import { onSelected } from './redis.database.js';
import { ReplicaConfirmations } from './replica-confirmations.js';
import { Predecessor } from './predecessor.js';
import { isReply, linkDownError, silence } from './reply-errors.js';
import { asError } from '../probe.js';
import { within } from '../within.js';
import { semaphoreScript } from './scripts/embedded.js';
import { WriteCheck } from './write-check.js';

export interface LinkEvents {
  /** Commands can be sent (again). */
  up(): void;
  down(error: Error): void;
  /** The channel is heard (again): what was said in between is missed. */
  subscribed(): void;
  message(text: string): void;
}

const PING_EVERY_MS = 5000;
/** Commands go out without a subscription after this time: waiters then find their grants by asking. */
const LISTEN_WITHIN_MS = 1000;

/** The connections of one process: one for commands, one that listens to its channel. */
export class RedisLink {
  readonly isCluster: boolean;
  private commands?: Connection;
  private subscriber?: Connection;
  private clusterListener?: ClusterListener;
  private isUp = false;
  private isClosed = false;
  /** The script was sent ahead: calls that overtook it would have to be sent twice. */
  private isConnected = false;
  /** A message sent before would be missed. */
  private isListening = false;
  private closing: Promise<void> | undefined;
  private downSince: number;
  private lastError: Error | undefined;
  private heardAt = -Infinity;
  private readonly waiting = new Set<(error?: Error) => void>();
  private readonly confirmations = new ReplicaConfirmations();
  private readonly writes: WriteCheck;
  private readonly predecessor = new Predecessor();
  private readonly replaced = new WeakSet<Connection>();
  private stopPing: StopTimer = () => undefined;
  private stopListenTimer: StopTimer = () => undefined;

  constructor(
    private readonly connector: Connector,
    private readonly channel: string,
    private readonly clock: Clock,
    private readonly timeoutMs: number,
    private readonly events: LinkEvents,
  ) {
    this.isCluster = connector.isCluster;
    this.writes = new WriteCheck(clock, timeoutMs, channel);
    this.downSince = clock.now();
    this.open().catch((error: unknown) => this.fell((this.lastError = asError(error))));
  }

  /**
   * The command connection, as soon as it is there.
   * @throws {StoreUnavailableError} at once when it has been away for longer than the time limit, otherwise after `withinMs`
   */
  ready(withinMs: number): Connection | Promise<Connection> {
    if (this.isUp && this.commands !== undefined) return this.commands;
    if (this.isClosed) return Promise.reject(linkDownError('the store is closed'));
    const downMs = this.clock.now() - this.downSince;
    if (downMs >= this.timeoutMs) return Promise.reject(this.unavailable(downMs));
    return new Promise((resolve, reject) => {
      const settle = (error?: Error): void => {
        stop();
        this.waiting.delete(settle);
        if (error === undefined) resolve(this.commands as Connection);
        else reject(error);
      };
      const stop = this.clock.schedule(
        () => settle(this.unavailable(this.clock.now() - this.downSince)),
        Math.min(withinMs, this.timeoutMs - downMs),
      );
      this.waiting.add(settle);
    });
  }

  /** Something came from Redis. */
  heard(): void {
    this.heardAt = this.clock.now();
  }

  /** Asks on the command connection, and leaves the connection alone when no answer comes: {@link suspect} is for calls and our own PINGs. */
  async health(timeoutMs: number): Promise<StoreHealth> {
    if (this.isClosed) throw linkDownError('the store is closed');
    const startedAt = this.clock.now();
    let error: Error | undefined;
    try {
      const commands = await this.ready(timeoutMs);
      const leftMs = timeoutMs - (this.clock.now() - startedAt);
      const pong = this.isCluster ? pingMasters(commands as ClusterConnection) : commands.ping();
      await within(this.clock, leftMs, pong, () => silence(timeoutMs));
      this.heard();
    } catch (reason) {
      error = asError(reason);
    }
    const now = this.clock.now();
    return {
      latencyMs: error === undefined ? now - startedAt : undefined,
      error,
      isListening: this.isListening,
      silentMs: now - this.heardAt,
    };
  }

  /**
   * The connection does not answer, or speaks with a server that takes no writes: look for a better one.
   * @param slot In Cluster: its node is the one that does not answer
   */
  suspect(error: Error, slot?: number): void {
    this.lastError = error;
    if (!this.isUp) return;
    if (this.isCluster) {
      if (slot !== undefined) this.replace(this.nodeOf(slot));
      return;
    }
    // Many calls may suspect it before it is closed.
    this.writes.note(error);
    this.fell(error);
    this.commands?.disconnect(true);
  }

  /** The connection may be a dead one. */
  noAnswer(withinMs: number, slot?: number): StoreUnavailableError {
    const error = silence(withinMs);
    this.suspect(error, slot);
    return error;
  }

  /** How many replicas have what was written on the command connection (in Cluster: on the slot's node) so far. */
  async wait(slot: number, replicas: number, timeoutMs: number): Promise<number> {
    const commands = await this.ready(this.timeoutMs);
    const node = this.isCluster ? this.nodeOf(slot) : commands;
    return node === undefined ? 0 : this.confirmations.of(node, replicas, timeoutMs);
  }

  /** Every master. */
  async masters(): Promise<Connection[]> {
    const commands = await this.ready(this.timeoutMs);
    return this.isCluster ? (commands as ClusterConnection).nodes('master') : [commands];
  }

  private nodeOf(slot: number): Connection | undefined {
    const cluster = this.commands as ClusterConnection;
    const name = cluster.slots[slot]?.[0];
    return cluster.nodes('master').find((node) => nodeName(node) === name);
  }

  /** Cluster opens a new connection to a node whose old one has ended. */
  private replace(node: Connection | undefined): void {
    // Many calls may suspect it before it has ended, and its successor is not to blame for theirs.
    if (node?.status !== 'ready' || this.replaced.has(node)) return;
    this.replaced.add(node);
    node.disconnect();
  }

  close(): Promise<void> {
    return (this.closing ??= this.end());
  }

  private async end(): Promise<void> {
    this.isClosed = true;
    this.isUp = false;
    this.stopPing();
    this.stopListenTimer();
    for (const settle of [...this.waiting]) {
      settle(linkDownError('the store is closed'));
    }
    const connections = new Set([this.commands, this.subscriber]);
    await Promise.all([...connections].map((connection) => ended(connection, this.clock)));
  }

  private async open(): Promise<void> {
    const commands = await this.connector.open();
    // In Cluster, ioredis keeps a connection for subscriptions of its own.
    const subscriber = this.isCluster ? commands : await this.connector.open();
    this.commands = commands;
    this.subscriber = subscriber;
    if (this.isClosed) {
      await Promise.all([ended(commands, this.clock), ended(subscriber, this.clock)]);
      return;
    }
    commands.on('error', (error: Error) => (this.lastError = error));
    commands.on('connect', () => {
      // What a server has answered stays the reason.
      if (!isReply(this.lastError))
        this.lastError = new Error('it accepts connections, but is not ready');
    });
    commands.on('close', () => this.fell(this.lastError));
    subscriber.on('message', (channel: string, text: string) => {
      this.heard();
      if (channel === this.channel) this.events.message(text);
    });
    subscriber.on('close', () => (this.isListening = false));
    if (subscriber !== commands) {
      limitHandshake(commands, this.clock, this.timeoutMs);
      limitHandshake(subscriber, this.clock, this.timeoutMs);
      subscriber.on('error', (error: Error) => (this.lastError = error));
      subscriber.on('ready', () => this.subscribe());
      if (subscriber.status === 'ready') this.subscribe();
    }
    this.keepAlive();
    if (this.isCluster) {
      this.clusterListener = new ClusterListener(commands as ClusterConnection, () => {
        this.isListening = false;
        if (!this.isClosed) this.subscribe();
      });
      const limit = (node: Connection): void => limitHandshake(node, this.clock, this.timeoutMs);
      commands.on('+node', limit);
      for (const node of (commands as ClusterConnection).nodes('all')) limit(node);
    }
    onSelected(commands, this.clock, this.timeoutMs, {
      done: () => this.writes.passed(commands, () => this.connected()),
      refused: (error) => this.fell((this.lastError = error)),
    });
  }

  private connected(): void {
    if (this.commands !== undefined && !this.isCluster) {
      this.predecessor.end(this.commands);
      // Without it the first burst would send the whole text many times. When it fails, calls send the text themselves.
      this.commands.script('LOAD', semaphoreScript).catch(() => undefined);
    } else if (!this.isListening) this.subscribe();
    this.isConnected = true;
    if (this.isListening) this.rose();
    else this.stopListenTimer = this.clock.schedule(() => this.rose(), LISTEN_WITHIN_MS);
  }

  private rose(): void {
    this.stopListenTimer();
    if (this.isClosed || this.isUp || !this.isConnected) return;
    this.isUp = true;
    this.lastError = undefined;
    this.events.up();
    for (const settle of [...this.waiting]) settle();
  }

  private fell(error: Error | undefined): void {
    this.stopListenTimer();
    if (this.isClosed) return;
    if (this.isUp) this.downSince = this.clock.now();
    this.isUp = false;
    this.isConnected = false;
    this.events.down(error ?? new Error('the connection was closed'));
  }

  private subscribe(): void {
    this.clusterListener?.watch();
    this.subscriber?.subscribe(this.channel).then(
      () => {
        this.heard();
        this.isListening = true;
        this.rose();
        this.events.subscribed();
      },
      // The connection closed meanwhile, and its next 'ready' subscribes; or it was refused, and {@link keepAlive} does.
      (error: Error) => (this.lastError = error),
    );
  }

  /** A connection that died without a word while nobody used it would be noticed by a call that is lost on it. */
  private keepAlive(): void {
    this.stopPing = this.clock.schedule(() => {
      if (this.isClosed) return;
      this.keepAlive();
      const { commands, subscriber } = this;
      if (!this.isListening && subscriber?.status === 'ready') this.subscribe();
      if (this.isCluster) {
        const nodes = (commands as ClusterConnection).nodes('master');
        for (const node of nodes) this.ping(node, () => this.replace(node));
        const listener = this.clusterListener?.connection;
        this.ping(listener, () => listener?.disconnect());
        return;
      }
      this.ping(subscriber, () => subscriber?.disconnect(true));
      this.ping(commands, () => this.suspect(new Error('Redis did not answer a PING')));
    }, PING_EVERY_MS);
  }

  private ping(connection: Connection | undefined, onSilence: () => void): void {
    if (connection?.status !== 'ready') return;
    const stop = this.clock.schedule(onSilence, this.timeoutMs);
    const pong = (): void => {
      stop();
      this.heard();
    };
    connection.ping().then(pong, stop);
  }

  private unavailable(downMs: number): StoreUnavailableError {
    const why = this.lastError === undefined ? '' : ` (${detailOf(this.lastError)})`;
    const detail = `no connection to Redis for ${Math.round(downMs)} ms${why}`;
    return linkDownError(detail, this.lastError);
  }
}
