import type { Clock, StopTimer } from '../clock.js';
import type { ClusterConnection, Connection } from './redis.connection.js';

/** ioredis may look for a sentinel, or for the address of a Cluster, and not hear that it should not. */
const END_WITHIN_MS = 1000;

/** The other side may accept a connection and then say nothing: then another one is tried. */
export function limitHandshake(connection: Connection, clock: Clock, withinMs: number): void {
  let stop: StopTimer = () => undefined;
  const start = (): void => {
    stop();
    stop = clock.schedule(() => connection.disconnect(true), withinMs);
  };
  connection.on('connect', start);
  connection.on('ready', () => stop());
  connection.on('close', () => stop());
  if (connection.status === 'connect') start();
}

/** Disconnects for good, and resolves when the connection says that it has ended; if it does not, after a second. */
export function disconnect(connection: Connection | undefined, clock: Clock): Promise<void> {
  if (connection === undefined || connection.status === 'end') return Promise.resolve();
  return new Promise((resolve) => {
    const hadSockets = hasSockets(connection);
    const stop = clock.schedule(resolve, END_WITHIN_MS);
    connection.once('end', () => {
      stop();
      resolve();
    });
    connection.disconnect();
    if (hadSockets) return;
    stop();
    resolve();
  });
}

/** Otherwise nothing can end, and no 'end' need come: only the attempt to connect again is called off. */
function hasSockets(connection: Connection): boolean {
  if (connection.isCluster === true)
    return (connection as ClusterConnection).nodes('all').length > 0;
  return connection.status !== 'reconnecting';
}
