/** A process that runs one contender: loads its adapter, then does what the benchmark asks for. */
import { openPeer } from '../peers/registry.mjs';
import { contended, pool } from '../loads/contended.mjs';
import { enter, free, hold, wait } from '../loads/held.mjs';
import { ownKeys, sequential } from '../loads/free.mjs';
import * as flights from '../loads/flights.mjs';
import { floors } from '../loads/floors.mjs';
import { serve } from '../loads/http.mjs';
import { serveLocks } from '../loads/lock-server.mjs';

const loads = {
  contended,
  pool,
  sequential,
  ownKeys,
  hold,
  free,
  wait,
  enter,
  floors,
  serve,
  serveLocks,
  ...flights,
};
let client;

const methods = {
  open: async ({ peer, ...target }) => {
    client = await openPeer(peer, target);
  },
  close: () => client.close(),
  ...Object.fromEntries(
    Object.entries(loads).map(([name, load]) => [name, (options) => metered(load, options)]),
  ),
};

/** What this process itself had to do: on a busy machine that says more than the time it took. */
async function metered(load, options) {
  const before = process.cpuUsage();
  const result = await load(client, options);
  const { user, system } = process.cpuUsage(before);
  return { ...result, ownCpuUs: user + system };
}

process.on('disconnect', () => process.exit());
process.on('SIGINT', () => {});
process.on('SIGTERM', () => process.exit());
for (const event of ['uncaughtException', 'unhandledRejection']) {
  process.on(event, (error) => {
    process.send({ failure: `${event}: ${describe(error)}` }, () => process.exit(1));
  });
}
process.on('message', (message) => void answer(message));

async function answer({ id, method, options }) {
  try {
    process.send({ id, result: await methods[method](options) });
  } catch (error) {
    process.send({ id, error: describe(error) });
  }
}

function describe(error) {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
