import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const CHILD = fileURLToPath(new URL('child.mjs', import.meta.url));

let profiles = 0;

function profileTo(folder, name) {
  const file = `${name}.${++profiles}.cpuprofile`;
  return ['--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-name=${file}`];
}

/** One process of one contender. Whatever it does, each call ends within its time bound. */
export class ContenderProcess {
  #child;
  #calls = new Map();
  #nextId = 0;
  #failure;

  /** @param {{ cpuProf?: string, name: string }} options */
  constructor({ cpuProf, name }) {
    const execArgv = cpuProf === undefined ? [] : profileTo(cpuProf, name);
    const env = { ...process.env, NODE_ENV: 'production' };
    this.#child = fork(CHILD, { execArgv, env, serialization: 'advanced' });
    this.#child.on('message', (message) => this.#receive(message));
    this.#child.on('exit', (code, signal) => this.#fail(`the process ended (${code ?? signal})`));
    this.#child.on('error', (error) => this.#fail(error.message));
  }

  /** @returns {Promise<any>} */
  call(method, options, boundMs = 30_000) {
    if (this.#failure !== undefined) return Promise.reject(new Error(this.#failure));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#fail(`no answer to "${method}" within ${boundMs} ms`);
        this.kill();
      }, boundMs);
      this.#calls.set(id, { resolve, reject, timer });
      this.#child.send({ id, method, options });
    });
  }

  /** As a crash does it: SIGKILL. */
  kill() {
    this.#child.kill('SIGKILL');
  }

  async end() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    const timer = setTimeout(() => this.kill(), 5000);
    this.#child.kill('SIGTERM');
    await exited;
    clearTimeout(timer);
  }

  #receive({ id, result, error, failure }) {
    if (failure !== undefined) return this.#fail(failure);
    const call = this.#calls.get(id);
    if (call === undefined) return undefined;
    this.#calls.delete(id);
    clearTimeout(call.timer);
    return error === undefined ? call.resolve(result) : call.reject(new Error(error));
  }

  #fail(reason) {
    this.#failure ??= reason;
    for (const { reject, timer } of this.#calls.values()) {
      clearTimeout(timer);
      reject(new Error(this.#failure));
    }
    this.#calls.clear();
  }
}
