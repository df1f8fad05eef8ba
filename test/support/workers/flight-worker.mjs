import { RemoteSemaphoreStore } from '../../../dist/client/index.js';
import { SemaphoreService, SingleFlightService } from '../../../dist/index.js';

/** @type {SemaphoreService} */
let semaphores;
/** @type {SingleFlightService} */
let flights;

const finishing = new Map();

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const methods = {
  open({ remote, ...options }) {
    const store = remote && new RemoteSemaphoreStore(remote);
    semaphores = new SemaphoreService({ log: 'none', store, ...options });
    flights = new SingleFlightService(semaphores);
  },
  /** `calls` equal calls at once; each value that they got, once. */
  async run({ key, calls = 1, workMs, value, options }) {
    const work = async (signal) => {
      process.send({ began: key, at: Date.now() });
      if (workMs === Infinity) await new Promise((resolve) => finishing.set(key, resolve));
      else await sleep(workMs);
      return { by: process.pid, value, isAborted: signal.aborted };
    };
    const results = await Promise.all(
      Array.from({ length: calls }, () => flights.run(key, work, options)),
    );
    return [...new Set(results.map((result) => JSON.stringify(result)))].map((text) =>
      JSON.parse(text),
    );
  },
  finish: (key) => finishing.get(key)?.(),
  close: () => semaphores.close(),
};

async function answer({ call, method, args }) {
  try {
    process.send({ call, value: await methods[method](...args) });
  } catch (error) {
    process.send({ call, error: { name: error.name, message: error.message, code: error.code } });
  }
}

process.on('message', (request) => void answer(request));
process.on('disconnect', () => process.exit());
