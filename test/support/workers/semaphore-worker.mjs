import { filter, firstValueFrom } from 'rxjs';
import { SemaphoreService } from '../../../dist/index.js';
import { runLoad } from './load.mjs';

/** @type {SemaphoreService} */
let semaphores;
const permits = new Map();

const now = () => Number(process.hrtime.bigint()) / 1e6;

const methods = {
  open(options) {
    semaphores = new SemaphoreService({ log: 'none', ...options });
  },
  async acquire(key, options) {
    const permit = await semaphores.acquire(key, options);
    const at = now();
    permits.set(permit.id, permit);
    return { id: permit.id, fencingToken: permit.fencingToken, at };
  },
  async acquireAndDie(key, options) {
    await semaphores.acquire(key, options);
    process.kill(process.pid, 'SIGKILL');
  },
  async enqueue(key, options) {
    const waiting = firstValueFrom(
      semaphores.events.pipe(filter((event) => event.type === 'waiting' && event.key === key)),
    );
    semaphores.acquire(key, options).catch(() => undefined);
    await waiting;
  },
  release: (id) => permits.get(id).release(),
  isHeld: (id) => permits.get(id).isHeld,
  load: (options) => runLoad(semaphores, options),
  close: () => semaphores.close(),
};

async function answer({ call, method, args }) {
  try {
    process.send({ call, value: await methods[method](...args) });
  } catch (error) {
    process.send({ call, error });
  }
}

process.on('message', (request) => void answer(request));
process.on('disconnect', () => process.exit());
