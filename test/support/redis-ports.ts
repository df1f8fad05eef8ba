import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Where a cluster node listens for its peers, counted from its client port. */
const CLUSTER_BUS_OFFSET = 10_000;

/** Below every system's ephemeral range, with the bus port too, so no outgoing connection takes one of them. */
const FIRST_PORT = 12_000;
const LAST_PORT = 22_000;

const handedOut = new Set<number>();

/**
 * A loopback port that is free now, together with its cluster bus port. Another process may still win the
 * race for it: whoever starts a server on it tries again with another one.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST_PORT, LAST_PORT);
    if (handedOut.has(port)) continue;
    handedOut.add(port);
    if ((await canListen(port)) && (await canListen(port + CLUSTER_BUS_OFFSET))) return port;
    handedOut.delete(port);
  }
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
