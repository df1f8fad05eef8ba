import { type ClusterConnection, nodeName } from './redis.connection.js';

/**
 * Resolves when every master of a Cluster has answered. Rejects at once when slots belong to one that is not connected: while
 * nobody asks for these, only this learns that another one has them by now.
 */
export async function pingMasters(cluster: ClusterConnection): Promise<void> {
  const masters = cluster.nodes('master');
  const names = new Set(masters.map(nodeName));
  const owner = cluster.slots.find(
    (nodes) => nodes?.[0] !== undefined && !names.has(nodes[0]),
  )?.[0];
  if (owner !== undefined) {
    cluster.refreshSlotsCache();
    throw new Error(`no connection to ${owner}, a master of the Cluster`);
  }
  await Promise.all(masters.map((master) => master.ping()));
}
