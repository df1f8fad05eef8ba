import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { AcquireOptions, SemaphoreModuleOptions } from 'nestjs-semaphore';
import type { HistoryEntry } from './history.js';

/** What a worker tells of a permit; `at` is its monotonic clock when it got it, the same for all processes. */
export interface WorkerPermit {
  id: string;
  fencingToken: number;
  at: number;
}

export interface LoadOptions {
  key: string;
  permits: number;
  callers: number;
  durationMs: number;
  maxWorkMs: number;
  /** @default 3 */
  maxWeight?: number;
  /** For every call; calls then have no labels of their own. */
  options?: AcquireOptions;
}

export interface LoadResult {
  entries: HistoryEntry[];
  /** How calls ended that got no permit, by the name of the reason; anything unforeseen is here too. */
  refused: Record<string, number>;
  /** Permits that were lost while held. */
  lost: number;
}

/** What workers/semaphore-worker.mjs can do. */
export interface WorkerMethods {
  open(options: SemaphoreModuleOptions): void;
  acquire(key: string, options?: AcquireOptions): WorkerPermit;
  /** Does not wait for the outcome; resolves when the store has put it into the queue. */
  enqueue(key: string, options?: AcquireOptions): void;
  release(id: string): string;
  isHeld(id: string): boolean;
  load(options: LoadOptions): LoadResult;
  close(): void;
}

type Reply = { call: number; value?: unknown; error?: Error };

const SCRIPT = fileURLToPath(new URL('./workers/semaphore-worker.mjs', import.meta.url));

/** A real process with a service of its own, made from the built package. Ends with the process that started it. */
export class Worker implements AsyncDisposable {
  private calls = 0;
  private readonly pending = new Map<number, PromiseWithReply>();
  private readonly exited: Promise<unknown>;

  private constructor(private readonly child: ChildProcess) {
    this.exited = once(child, 'exit').then(() => this.failAll());
    child.on('message', (reply: Reply) => this.settle(reply));
  }

  /** @param wallClockAheadMs how wrong the process's wall clock is */
  static async start(options: SemaphoreModuleOptions, wallClockAheadMs = 0): Promise<Worker> {
    const wrongClock = `const right = Date.now; Date.now = () => right() + ${wallClockAheadMs}`;
    const execArgv = ['--import', `data:text/javascript,${wrongClock}`];
    const child = fork(SCRIPT, [], { execArgv, serialization: 'advanced' });
    const worker = new Worker(child);
    try {
      await worker.call('open', options);
    } catch (error) {
      await worker.kill();
      throw error;
    }
    return worker;
  }

  call<M extends keyof WorkerMethods>(
    method: M,
    ...args: Parameters<WorkerMethods[M]>
  ): Promise<ReturnType<WorkerMethods[M]>> {
    return new Promise((resolve, reject) => {
      const call = ++this.calls;
      this.pending.set(call, { resolve: resolve as (value: unknown) => void, reject });
      this.child.send({ call, method, args });
    });
  }

  /** SIGKILL: no word of goodbye. Resolves when the process is gone. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
  }

  /** Stops the process where it is; its connections stay open. */
  pause(): void {
    this.child.kill('SIGSTOP');
  }

  resume(): void {
    this.child.kill('SIGCONT');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }

  private settle({ call, value, error }: Reply): void {
    const pending = this.pending.get(call);
    this.pending.delete(call);
    if (error === undefined) pending?.resolve(value);
    else pending?.reject(error);
  }

  private failAll(): void {
    for (const { reject } of this.pending.values()) reject(new Error('The worker is gone'));
    this.pending.clear();
  }
}

/** Workers of one test, killed together. */
export class Workers implements AsyncDisposable {
  private readonly started: Worker[] = [];

  constructor(private readonly options: SemaphoreModuleOptions) {}

  async start(wallClockAheadMs = 0): Promise<Worker> {
    const worker = await Worker.start(this.options, wallClockAheadMs);
    this.started.push(worker);
    return worker;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.started.map((worker) => worker.kill()));
  }
}

interface PromiseWithReply {
  resolve(value: unknown): void;
  reject(error: Error): void;
}
