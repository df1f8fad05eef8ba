/** A process that runs one contender: loads its adapter, then does what the benchmark asks for. */
import { openPeer } from '../peers/registry.mjs';

/** Which file has which loads: a process loads no more than it needs. */
const files = {
  'contended.mjs': ['contended', 'pool'],
  'free.mjs': ['sequential', 'ownKeys'],
  'held.mjs': ['hold', 'free', 'wait', 'enter'],
  'floors.mjs': ['floors'],
  'flights.mjs': ['lead', 'follow', 'finish', 'landed', 'hear', 'say', 'heard', 'distinctKeys'],
  'http.mjs': ['serve'],
  'lock-server.mjs': ['serveLocks'],
};
let client;

const methods = {
  open: async ({ peer, ...target }) => {
    client = await openPeer(peer, target);
  },
  close: () => client.close(),
  ...Object.fromEntries(
    Object.entries(files).flatMap(([file, names]) =>
      names.map((name) => [name, (options) => metered(file, name, options)]),
    ),
  ),
};

/** What this process itself had to do: on a busy machine that says more than the time it took. */
async function metered(file, name, options) {
  const { [name]: load } = await import(`../loads/${file}`);
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
