import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { RunOptions, SemaphoreModuleOptions } from 'nestjs-semaphore';

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
  | { began: string; at: number }
  | { call: number; value?: unknown; error?: { name: string; message: string; code?: string } };

interface Pending {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** A real process with single flights of the built package. Notes when it begins work. */
export class FlightWorker implements AsyncDisposable {
  /** Times at which it began the work of a key. */
  readonly begun: { key: string; at: number }[] = [];
  private calls = 0;
  private readonly pending = new Map<number, Pending>();
  private readonly onBegin = new Set<() => void>();
  private readonly exited: Promise<unknown>;

  private constructor(private readonly child: ChildProcess) {
    this.exited = once(child, 'exit').then(() => this.failAll());
    child.on('message', (message: Message) => this.hear(message));
  }

  static async start(options: SemaphoreModuleOptions): Promise<FlightWorker> {
    const worker = new FlightWorker(fork(SCRIPT, [], { serialization: 'advanced' }));
    try {
      await worker.call('open', options);
    } catch (error) {
      await worker.kill();
      throw error;
    }
    return worker;
  }

  get pid(): number {
    return this.child.pid ?? Number.NaN;
  }

  run(order: FlightOrder): Promise<FlightResult[]> {
    return this.call('run', order) as Promise<FlightResult[]>;
  }

  /** Lets work with an infinite `workMs` end, if it is done here. */
  async finish(key: string): Promise<void> {
    await this.call('finish', key);
  }

  /** How often it began the work. */
  runs(key: string): number {
    return this.begun.filter((each) => each.key === key).length;
  }

  /** Resolves when it has begun the work. */
  async began(key: string): Promise<void> {
    while (this.runs(key) === 0) await new Promise<void>((resolve) => this.onBegin.add(resolve));
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
  }

  pause(): void {
    this.child.kill('SIGSTOP');
  }

  resume(): void {
    this.child.kill('SIGCONT');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }

  private call(method: string, ...args: unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const call = ++this.calls;
      this.pending.set(call, { resolve, reject });
      this.child.send({ call, method, args });
    });
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
    const pending = this.pending.get(call);
    this.pending.delete(call);
    if (error === undefined) pending?.resolve(value);
    else pending?.reject(Object.assign(new Error(error.message), error));
  }

  private failAll(): void {
    for (const { reject } of this.pending.values()) reject(new Error('The worker is gone'));
    this.pending.clear();
  }
}
