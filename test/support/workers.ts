import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { AcquireOptions, SemaphoreModuleOptions } from 'nestjs-semaphore';
import type { HistoryEntry } from './history.js';
import { type Reply, WorkerProcess } from './worker-process.js';

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
  /** Dies as soon as it holds, before anything else. */
  acquireAndDie(key: string, options?: AcquireOptions): never;
  /** Does not wait for the outcome; resolves when the store has put it into the queue. */
  enqueue(key: string, options?: AcquireOptions): void;
  release(id: string): string;
  isHeld(id: string): boolean;
  load(options: LoadOptions): LoadResult;
  close(): void;
}

const SCRIPT = fileURLToPath(new URL('./workers/semaphore-worker.mjs', import.meta.url));

/** A real process with a service of its own, made from the built package. */
export class Worker extends WorkerProcess {
  private constructor(child: ChildProcess) {
    super(child);
    child.on('message', (reply: Reply) => this.settle(reply));
  }

  /** @param wallClockAheadMs how wrong the process's wall clock is */
  static start(options: SemaphoreModuleOptions, wallClockAheadMs = 0): Promise<Worker> {
    const wrongClock = `const right = Date.now; Date.now = () => right() + ${wallClockAheadMs}`;
    const execArgv = ['--import', `data:text/javascript,${wrongClock}`];
    return new Worker(fork(SCRIPT, [], { execArgv, serialization: 'advanced' })).opened(options);
  }

  call<M extends keyof WorkerMethods>(
    method: M,
    ...args: Parameters<WorkerMethods[M]>
  ): Promise<ReturnType<WorkerMethods[M]>> {
    return this.request(method, ...args) as Promise<ReturnType<WorkerMethods[M]>>;
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
