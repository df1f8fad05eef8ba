import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { SemaphoreModuleOptions } from 'nestjs-semaphore';
import type { SemaphoreServerOptions } from 'nestjs-semaphore/server';
import { ADMIN_KEY, LockClient } from './lock-server.js';

/** After a garbage collection. */
export interface ServerMemory {
  rss: number;
  heapUsed: number;
  /** Rejections that nobody handled. */
  problems: number;
}

const SCRIPT = fileURLToPath(new URL('./workers/lock-server.mjs', import.meta.url));

/** A lock server in a process of its own. */
export class LockServerProcess extends LockClient implements AsyncDisposable {
  private calls = 0;

  private constructor(
    url: string,
    private readonly child: ChildProcess,
  ) {
    super(url);
  }

  static async start(
    store: SemaphoreModuleOptions,
    server: SemaphoreServerOptions = {},
  ): Promise<LockServerProcess> {
    const options = {
      store: { log: 'none', ...store },
      server: { apiKeys: [ADMIN_KEY], ...server },
    };
    const child = fork(SCRIPT, [JSON.stringify(options)]);
    const [{ port }] = (await once(child, 'message')) as [{ port: number }];
    return new LockServerProcess(`http://127.0.0.1:${port}`, child);
  }

  get isAlive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  async memory(): Promise<ServerMemory> {
    const call = ++this.calls;
    const answered = once(this.child, 'message');
    this.child.send({ call });
    const [memory] = (await answered) as [ServerMemory];
    return memory;
  }

  /** Freezes the process: its connections stay open, and nobody reads what comes. */
  pause(): void {
    this.child.kill('SIGSTOP');
  }

  resume(): void {
    this.child.kill('SIGCONT');
  }

  /** SIGKILL: no word of goodbye. Resolves when the process is gone. */
  async kill(): Promise<void> {
    if (!this.isAlive) return;
    const exited = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await exited;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}
