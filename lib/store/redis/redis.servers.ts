import type { Connection } from './redis.connection.js';

/** What a process has for Redis, one server or a Cluster, and its connections there. */
export interface RedisServers {
  /** Takes commands. */
  readonly commands: Connection;
  /** Hears what is published; in Cluster the same. */
  readonly subscriber: Connection;
  /** Says from now on what becomes of the connections. */
  start(): void;
  subscribe(channel: string): Promise<unknown>;
  /** Every master. */
  masters(): Connection[];
  /** The master of a slot, as far as it is known. */
  masterOf(slot: number): Connection | undefined;
  /** Resolves when every master has answered. */
  health(): Promise<unknown>;
  /** Pings every connection: one that died without a word is closed. */
  keepAlive(ping: Ping): void;
  /**
   * Looks for better ones than those in use, which do not answer, or take no writes.
   * @param slot In Cluster: its node is the one that does not answer
   */
  suspect(error: Error, slot?: number): void;
}

/** Pings a connection that is ready. @param onSilence called when nothing comes back in time */
export type Ping = (connection: Connection | undefined, onSilence: () => void) => void;

export interface ServersEvents {
  /** Commands can be sent (again). */
  ready(): void;
  /** Commands cannot be sent, or not any more. May be told again and again. */
  down(error: Error): void;
  /** The command connection has said nothing for too long. */
  silent(error: Error): void;
  /** Nothing is heard until the channel is subscribed to again. */
  deaf(): void;
  /** The channel can be subscribed to. */
  canSubscribe(): void;
}
