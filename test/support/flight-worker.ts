import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { RunOptions, SemaphoreModuleOptions } from 'nestjs-semaphore';
import type { RemoteSemaphoreStoreOptions } from 'nestjs-semaphore/client';
import { type Reply, WorkerProcess } from './worker-process.js';

const SCRIPT = fileURLToPath(new URL('./workers/flight-worker.mjs', import.meta.url));

export interface FlightOrder {
  key: string;
  calls?: number;
  workMs: number;
  value?: unknown;
  options?: RunOptions;
}

export interface FlightResult {
  by: number;
  value?: unknown;
  isAborted: boolean;
}

type Message =
  { began: string; at: number } | Reply<{ name: string; message: string; code?: string }>;

/** A real process with single flights of the built package. Notes when it begins work. */
export class FlightWorker extends WorkerProcess {
  /** Times at which it began the work of a key. */
  readonly begun: { key: string; at: number }[] = [];
  private readonly onBegin = new Set<() => void>();

  private constructor(child: ChildProcess) {
    super(child);
    child.on('message', (message: Message) => this.hear(message));
  }

  /** @param options `remote`: over the server there */
  static start(
    options: SemaphoreModuleOptions & { remote?: RemoteSemaphoreStoreOptions },
  ): Promise<FlightWorker> {
    return new FlightWorker(fork(SCRIPT, [], { serialization: 'advanced' })).opened(options);
  }

  get pid(): number {
    return this.child.pid ?? Number.NaN;
  }

  run(order: FlightOrder): Promise<FlightResult[]> {
    return this.request('run', order) as Promise<FlightResult[]>;
  }

  /** Lets work with an infinite `workMs` end, if it is done here. */
  async finish(key: string): Promise<void> {
    await this.request('finish', key);
  }

  /** How often it began the work. */
  runs(key: string): number {
    return this.begun.filter((each) => each.key === key).length;
  }

  /** Resolves when it has begun the work. */
  async began(key: string): Promise<void> {
    while (this.runs(key) === 0) await new Promise<void>((resolve) => this.onBegin.add(resolve));
  }

  private hear(message: Message): void {
    if ('began' in message) {
      this.begun.push({ key: message.began, at: message.at });
      const waiting = [...this.onBegin];
      this.onBegin.clear();
      for (const resolve of waiting) resolve();
      return;
    }
    const { call, value, error } = message;
    if (error === undefined) this.settle({ call, value });
    else this.settle({ call, error: Object.assign(new Error(error.message), error) });
  }
}
