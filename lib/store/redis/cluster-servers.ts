import type { Clock } from '../clock.js';
import { ClusterListener } from './cluster-listener.js';
import { limitHandshake } from './connection-limits.js';
import { type ClusterConnection, type Connection, nodeName } from './redis.connection.js';
import type { Ping, RedisServers, ServersEvents } from './redis.servers.js';

/** A Cluster: ioredis keeps a connection to each of its nodes, and one of its own that listens. */
export class ClusterServers implements RedisServers {
  private readonly listener: ClusterListener;
  private readonly replaced = new WeakSet<Connection>();

  constructor(
    readonly commands: ClusterConnection,
    private readonly clock: Clock,
    private readonly timeoutMs: number,
    private readonly events: ServersEvents,
  ) {
    this.listener = new ClusterListener(commands, () => {
      events.deaf();
      events.canSubscribe();
    });
  }

  get subscriber(): Connection {
    return this.commands;
  }

  start(): void {
    const { commands } = this;
    const limit = (node: Connection): void => limitHandshake(node, this.clock, this.timeoutMs);
    commands.on('+node', limit);
    for (const node of commands.nodes('all')) limit(node);
    const ready = (): void => {
      this.events.canSubscribe();
      this.events.ready();
    };
    commands.on('ready', ready);
    if (commands.status === 'ready') ready();
  }

  subscribe(channel: string): Promise<unknown> {
    this.listener.watch();
    return this.commands.subscribe(channel);
  }

  masters(): Connection[] {
    return this.commands.nodes('master');
  }

  masterOf(slot: number): Connection | undefined {
    const name = this.commands.slots[slot]?.[0];
    return this.commands.nodes('master').find((node) => nodeName(node) === name);
  }

  /**
   * Rejects at once when slots belong to a master that is not connected: while nobody asks for these, only this learns that
   * another one has them by now.
   */
  async health(): Promise<void> {
    const { commands } = this;
    const masters = commands.nodes('master');
    const names = new Set(masters.map(nodeName));
    const owners = commands.slots.map((nodes) => nodes?.[0]);
    const missing = owners.find((owner) => owner !== undefined && !names.has(owner));
    if (missing !== undefined) {
      commands.refreshSlotsCache();
      throw new Error(`no connection to ${missing}, a master of the Cluster`);
    }
    await Promise.all(masters.map((master) => master.ping()));
  }

  keepAlive(ping: Ping): void {
    for (const node of this.masters()) ping(node, () => this.replace(node));
    const { connection } = this.listener;
    ping(connection, () => connection?.disconnect());
  }

  suspect(_error: Error, slot?: number): void {
    if (slot !== undefined) this.replace(this.masterOf(slot));
  }

  /** A new connection is opened to a node whose old one has ended. */
  private replace(node: Connection | undefined): void {
    // Many calls may suspect it before it has ended, and its successor is not to blame for theirs.
    if (node?.status !== 'ready' || this.replaced.has(node)) return;
    this.replaced.add(node);
    node.disconnect();
  }
}
