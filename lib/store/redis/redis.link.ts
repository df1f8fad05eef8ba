import { asError, StoreUnavailableError } from '../../semaphore.errors.js';
import type { Clock, StopTimer } from '../clock.js';
import { pause } from '../pause.js';
import type { StoreHealth } from '../semaphore-store.js';
import { within } from '../within.js';
import { ClusterServers } from './cluster-servers.js';
import { disconnect } from './connection-limits.js';
import { closedError, Readiness } from './readiness.js';
import type { ClusterConnection, Connection, Connector } from './redis.connection.js';
import type { RedisServers, ServersEvents } from './redis.servers.js';
import { ReplicaConfirmations } from './replica-confirmations.js';
import { isReply, NEXT_ATTEMPT_AFTER_MS, reasonOf, silence } from './reply-errors.js';
import { SingleServer } from './single-server.js';

interface LinkEvents {
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

/** The way of one process to Redis: sends commands, and listens to its channel. */
export class RedisLink {
  readonly isCluster: boolean;
  private servers: RedisServers | undefined;
  private readonly readiness: Readiness;
  /** The servers are ready. Calls wait a little longer: a message that is sent before somebody listens would be missed. */
  private isConnected = false;
  private isListening = false;
  private heardAt = -Infinity;
  private readonly confirmations = new ReplicaConfirmations();
  private stopPing: StopTimer = () => undefined;
  private stopListenTimer: StopTimer = () => undefined;
  private closing: Promise<void> | undefined;

  constructor(
    private readonly connector: Connector,
    private readonly channel: string,
    private readonly clock: Clock,
    private readonly timeoutMs: number,
    private readonly events: LinkEvents,
  ) {
    this.isCluster = connector.isCluster;
    this.readiness = new Readiness(clock, timeoutMs);
    this.open().catch((error: unknown) => {
      this.failed(asError(error));
      this.readiness.giveUp();
    });
  }

  /** As {@link Readiness.wait}. */
  ready(withinMs: number): RedisServers | Promise<RedisServers> {
    return this.readiness.wait(withinMs);
  }

  /** Something came from Redis. */
  heard(): void {
    this.heardAt = this.clock.now();
  }

  /** Asks on the command connection, on the next one when it breaks off meanwhile, and leaves the connection alone when no answer comes: {@link suspect} is for calls and our own PINGs. */
  async health(timeoutMs: number): Promise<StoreHealth> {
    if (this.readiness.isClosed) throw closedError();
    const startedAt = this.clock.now();
    let error: Error | undefined;
    try {
      await this.answer(startedAt + timeoutMs, timeoutMs);
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

  private async answer(end: number, timeoutMs: number): Promise<void> {
    const leftMs = (): number => Math.max(0, end - this.clock.now());
    const servers = await this.ready(leftMs());
    try {
      await within(this.clock, leftMs(), servers.health(), () => silence(timeoutMs));
    } catch (error) {
      if (this.isCluster || isReply(error) || error instanceof StoreUnavailableError) throw error;
      // The connection broke off: the next one may be there in time.
      await pause(this.clock, Math.min(leftMs(), NEXT_ATTEMPT_AFTER_MS));
      await this.answer(end, timeoutMs);
    }
  }

  /** As {@link RedisServers.suspect}. */
  suspect(error: Error, slot?: number): void {
    this.readiness.lastError = error;
    if (this.readiness.isUp) this.servers?.suspect(error, slot);
  }

  /** The connection may be a dead one. */
  noAnswer(withinMs: number, slot?: number): StoreUnavailableError {
    const error = silence(withinMs);
    this.suspect(error, slot);
    return error;
  }

  /** How many replicas have what was written on the command connection (in Cluster: on the slot's node) so far. */
  async countReplicas(slot: number, replicas: number, timeoutMs: number): Promise<number> {
    const node = (await this.ready(this.timeoutMs)).masterOf(slot);
    return node === undefined ? 0 : this.confirmations.of(node, replicas, timeoutMs);
  }

  /** Every master. */
  async masters(): Promise<Connection[]> {
    return (await this.ready(this.timeoutMs)).masters();
  }

  close(): Promise<void> {
    return (this.closing ??= this.end());
  }

  private async end(): Promise<void> {
    this.stopPing();
    this.stopListenTimer();
    this.readiness.close();
    await this.disconnect();
  }

  private async disconnect(): Promise<void> {
    const connections = new Set([this.servers?.commands, this.servers?.subscriber]);
    await Promise.all([...connections].map((connection) => disconnect(connection, this.clock)));
  }

  private async open(): Promise<void> {
    const servers = await this.connect({
      ready: () => this.connected(),
      down: (error) => this.failed(error),
      silent: (error) => this.suspect(error),
      deaf: () => (this.isListening = false),
      canSubscribe: () => this.subscribe(),
    });
    this.servers = servers;
    if (this.readiness.isClosed) return this.disconnect();
    const { commands, subscriber } = servers;
    for (const connection of new Set([commands, subscriber])) {
      connection.on('error', (error: Error) => (this.readiness.lastError = error));
    }
    commands.on('connect', () => {
      // What a server has answered stays the reason.
      if (!isReply(this.readiness.lastError)) {
        this.readiness.lastError = new Error('it accepts connections, but is not ready');
      }
    });
    commands.on('close', () => this.fell(this.readiness.lastError));
    subscriber.on('message', (channel: string, text: string) => {
      this.heard();
      if (channel === this.channel) this.events.message(text);
    });
    subscriber.on('close', () => (this.isListening = false));
    this.keepAlive(servers);
    servers.start();
  }

  private async connect(events: ServersEvents): Promise<RedisServers> {
    const { connector, clock, timeoutMs } = this;
    const commands = await connector.open();
    if (connector.isCluster) {
      return new ClusterServers(commands as ClusterConnection, clock, timeoutMs, events);
    }
    const subscriber = await connector.open();
    return new SingleServer(commands, subscriber, this.channel, clock, timeoutMs, events);
  }

  private connected(): void {
    this.isConnected = true;
    if (this.isListening) this.rose();
    else this.stopListenTimer = this.clock.schedule(() => this.rose(), LISTEN_WITHIN_MS);
  }

  private rose(): void {
    const { servers, readiness } = this;
    this.stopListenTimer();
    if (servers === undefined || !this.isConnected || readiness.isClosed || readiness.isUp) return;
    readiness.up(servers);
    this.events.up();
  }

  private failed(error: Error): void {
    this.readiness.lastError = error;
    this.fell(error);
  }

  private fell(error: Error | undefined): void {
    this.stopListenTimer();
    if (this.readiness.isClosed) return;
    this.readiness.down();
    this.isConnected = false;
    this.events.down(reasonOf(error) ?? new Error('the connection was closed'));
  }

  private subscribe(): void {
    if (this.isListening || this.readiness.isClosed) return;
    this.servers?.subscribe(this.channel).then(
      () => {
        this.heard();
        this.isListening = true;
        this.rose();
        this.events.subscribed();
      },
      // The connection closed meanwhile, and its next 'ready' subscribes; or it was refused, and {@link keepAlive} does.
      (error: Error) => (this.readiness.lastError = error),
    );
  }

  /** A connection that died without a word while nobody used it would be noticed by a call that is lost on it. */
  private keepAlive(servers: RedisServers): void {
    this.stopPing = this.clock.schedule(() => {
      if (this.readiness.isClosed) return;
      this.keepAlive(servers);
      if (servers.subscriber.status === 'ready') this.subscribe();
      servers.keepAlive((connection, onSilence) => this.ping(connection, onSilence));
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
}
