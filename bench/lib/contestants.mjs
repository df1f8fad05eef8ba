import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { loadPeer } from '../peers/registry.mjs';
import { ContenderProcess } from './contender.mjs';
import { freePort, startCluster, startRedis } from './redis.mjs';

const BROKER = fileURLToPath(new URL('../peers/live-mutex-broker.mjs', import.meta.url));

/** One contender with its processes and a server of its own, so that every command on that server is its own. */
export class Contestant {
  processes = [];

  constructor(backend) {
    this.backend = backend;
  }

  /**
   * @param {{ peer: string, processes?: number, masters?: number, leaseMs?: number }} wanted
   * @param {{ cpuProf?: string }} run
   */
  static async open(wanted, run) {
    const { backend } = await loadPeer(wanted.peer);
    const contestant = new Contestant(await startBackend(backend, wanted.masters));
    try {
      await Promise.all(
        Array.from({ length: wanted.processes ?? 1 }, () => contestant.addProcess(wanted, run)),
      );
    } catch (error) {
      await contestant.close();
      throw error;
    }
    return contestant;
  }

  async addProcess({ peer, leaseMs }, { cpuProf }) {
    const process = new ContenderProcess({ cpuProf, name: peer });
    const index = this.processes.push(process) - 1;
    const { port, ports } = this.backend;
    await process.call('open', { peer, port, ports, leaseMs, index }, 15_000);
    return process;
  }

  /** The same load in every process at the same time. */
  run(load, options, boundMs) {
    return Promise.all(
      this.processes.map((process, index) =>
        process.call(load, { ...options, firstWorker: index * (options.workers ?? 0) }, boundMs),
      ),
    );
  }

  stats() {
    return this.backend.stats();
  }

  async close() {
    await Promise.all(this.processes.map((process) => process.end()));
    await this.backend.stop();
  }
}

async function startBackend(kind, masters) {
  if (kind === 'redis') return masters === undefined ? startRedis() : startCluster(masters);
  if (kind === 'broker') return startBroker();
  return { stats: async () => ({}), keys: async () => Number.NaN, stop: async () => {} };
}

async function startBroker() {
  const port = await freePort();
  const child = fork(BROKER, [`${port}`], { stdio: 'ignore' });
  const exited = once(child, 'exit');
  await Promise.race([once(child, 'message'), exited]);
  if (child.exitCode !== null) throw new Error(`the broker ended (${child.exitCode})`);
  return {
    port,
    stats: async () => ({}),
    keys: async () => Number.NaN,
    stop: async () => {
      child.kill();
      await exited;
    },
  };
}
