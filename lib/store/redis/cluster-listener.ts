import type { ClusterConnection, Connection } from './redis.connection.js';

/**
 * The connection with which a `Cluster` listens. ioredis chooses another one when it has ended, and subscribes again, without a
 * word: what was said in between is missed.
 */
export class ClusterListener {
  private readonly watched = new WeakSet<Connection>();

  /** @param onEnd called when it has ended, and another one was chosen */
  constructor(
    private readonly cluster: ClusterConnection,
    private readonly onEnd: () => void,
  ) {}

  get connection(): Connection | undefined {
    return this.cluster.subscriber?.getInstance?.() ?? undefined;
  }

  /** From now on the end of the present one is told. */
  watch(): void {
    const { connection } = this;
    if (connection === undefined || this.watched.has(connection)) return;
    this.watched.add(connection);
    connection.once('end', this.onEnd);
  }
}
