// A process of a fault test. Writes all that happens into a journal, synchronously: it may be killed at any time.
import { openSync, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Cluster } from 'ioredis';
import { filter, firstValueFrom } from 'rxjs';
import { watchedSignals } from '../../../dist/cancel/on-abort.js';
import { SemaphoreService } from '../../../dist/index.js';
import { leftovers } from './leftovers.mjs';

const [, , file, name] = process.argv;
const journal = openSync(file, 'a');
const STEP_MS = 4;

/** CLOCK_MONOTONIC, the same for all processes of a machine. */
const now = () => Number(process.hrtime.bigint()) / 1e6;

function write(event, facts) {
  writeSync(journal, `${JSON.stringify({ worker: name, event, at: now(), ...facts })}\n`);
}

/** @type {SemaphoreService} */
let semaphores;
let calls = 0;
let isStopping = false;
let fibers = [];
const taken = new Map();

function open({ cluster, user, ...options }) {
  if (cluster) options.redis = new Cluster(cluster, { lazyConnect: true, redisOptions: user });
  semaphores = new SemaphoreService({ log: 'none', ...options });
  semaphores.events.subscribe((event) => {
    if (event.type === 'store-down' || event.type === 'store-up') write(event.type);
  });
}

/** @returns the permit, or undefined when it was refused */
async function acquire(key, options) {
  const call = ++calls;
  const { permits = 1, weight = 1 } = options;
  write('asked', { call, key, permits, weight });
  try {
    const permit = await semaphores.acquire(key, options);
    const { id, fencingToken, degraded, acquiredAt, expiresAt } = permit;
    const at = now();
    // The process may have been stopped between the two lines: it has entered only if it still held then.
    if (permit.isHeld) {
      write('entered', { call, at, id, fencingToken, degraded, acquiredAt, expiresAt });
    } else {
      write('late', { call });
    }
    permit.signal.addEventListener('abort', () => write('aborted', { call }));
    return { call, permit };
  } catch (error) {
    write('refused', { call, code: error.code ?? error.stack });
    return { call, error };
  }
}

/** Works for as long as the permit is held; each step is proof that it was held then. */
async function work({ call, permit }, isOver) {
  for (;;) {
    const at = now();
    if (permit.signal.aborted) {
      write('lost', { call, code: permit.signal.reason.code });
      return;
    }
    write('worked', { call, at });
    if (isOver()) return;
    await delay(STEP_MS);
  }
}

async function release({ call, permit }) {
  write('left', { call, outcome: await permit.release() });
}

async function fiber({ key, holdMs, options }) {
  while (!isStopping) {
    const held = await acquire(key, options);
    if (held.error) {
      await delay(20);
      continue;
    }
    const end = now() + Math.random() * holdMs;
    await work(held, () => now() >= end);
    await release(held);
  }
}

const methods = {
  open,
  contend(load) {
    isStopping = false;
    for (let i = 0; i < load.fibers; i++) fibers.push(fiber(load));
  },
  async stop() {
    isStopping = true;
    await Promise.all(fibers);
    fibers = [];
  },
  /** Takes a permit and works under it until `give`. */
  async take(as, key, options) {
    const held = await acquire(key, options);
    if (held.error) throw held.error;
    held.working = work(held, () => held.isGiven);
    taken.set(as, held);
    const { id, fencingToken, acquiredAt, expiresAt, degraded } = held.permit;
    return { id, fencingToken, acquiredAt, expiresAt, degraded };
  },
  /** As `take`, but resolves when it stands in the queue; {@link methods.taken} tells what comes of it. */
  async enqueue(as, key, options) {
    const waiting = firstValueFrom(
      semaphores.events.pipe(filter((event) => event.type === 'waiting' && event.key === key)),
    );
    const outcome = methods.take(as, key, options);
    outcome.catch(() => undefined);
    taken.set(`${as}?`, outcome);
    await waiting;
  },
  taken: (as) => taken.get(`${as}?`),
  async give(as) {
    const held = taken.get(as);
    held.isGiven = true;
    await held.working;
    const outcome = await held.permit.release();
    write('left', { call: held.call, outcome });
    return outcome;
  },
  /** Resolves when the permit is lost. */
  async lost(as) {
    const { signal } = taken.get(as).permit;
    if (!signal.aborted) {
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    }
    return signal.reason.code;
  },
  block(ms) {
    const end = now() + ms;
    while (now() < end);
  },
  inspect: (key) => semaphores.inspect(key),
  forceRelease: (key, id) => semaphores.forceRelease(key, id),
  state() {
    globalThis.gc?.();
    const sockets = process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap');
    const { rss, heapUsed } = process.memoryUsage();
    const left = leftovers({ semaphores, watchedSignals });
    return { leftovers: left, sockets: sockets.length, rss, heapUsed };
  },
  async close() {
    await semaphores.close();
    // Nothing of the library must keep the process alive from here on.
    process.off('disconnect', exit);
    setImmediate(() => process.disconnect());
  },
};

const exit = () => process.exit();
process.on('disconnect', exit);
process.on('message', ({ call, method, args }) => void answer(call, method, args));

async function answer(call, method, args) {
  let reply;
  try {
    reply = { call, value: await methods[method](...args) };
  } catch (error) {
    reply = { call, error };
  }
  if (process.connected) process.send(reply);
}

for (const sign of ['unhandledRejection', 'uncaughtException', 'warning']) {
  process.on(sign, (error) => write('bug', { sign, text: String(error?.stack ?? error) }));
}
