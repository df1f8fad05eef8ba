import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { AcquireOptions, SemaphoreModuleOptions, SemaphoreSnapshot } from 'nestjs-semaphore';
import { type Reply, WorkerProcess } from '../worker-process.js';

export type FaultWorkerOptions = SemaphoreModuleOptions & {
  /** Nodes of a Redis Cluster, instead of `redis`. */
  cluster?: readonly { host: string; port: number }[];
  /** Who logs in there. */
  user?: { username: string; password: string };
};

export interface Load {
  key: string;
  /** How many callers at once. */
  fibers: number;
  /** Each holds its permit for a random time up to this. */
  holdMs: number;
  options: AcquireOptions;
}

export interface TakenPermit {
  id: string;
  fencingToken: number;
  acquiredAt: number;
  expiresAt: number;
  degraded: boolean;
}

export interface WorkerState {
  /** What the service still keeps, by where. */
  leftovers: Record<string, number>;
  sockets: number;
  rss: number;
  heapUsed: number;
}

/** What fault-worker.mjs can do. */
export interface FaultWorkerMethods {
  open(options: FaultWorkerOptions): void;
  contend(load: Load): void;
  stop(): void;
  take(as: string, key: string, options: AcquireOptions): TakenPermit;
  enqueue(as: string, key: string, options: AcquireOptions): void;
  taken(as: string): TakenPermit;
  give(as: string): string;
  lost(as: string): string;
  block(ms: number): void;
  inspect(key: string): SemaphoreSnapshot;
  forceRelease(key: string, id: string): boolean;
  state(): WorkerState;
  close(): void;
}

const SCRIPT = fileURLToPath(new URL('./fault-worker.mjs', import.meta.url));
const EXIT_WITHIN_MS = 10_000;
const ANSWER_WITHIN_MS = 40_000;

/** A real process with a service of its own, made from the built package. */
export class FaultWorker extends WorkerProcess {
  isKilled = false;

  constructor(name: string, journal: string, env: NodeJS.ProcessEnv = {}) {
    const child = fork(SCRIPT, [journal, name], {
      execArgv: ['--expose-gc'],
      serialization: 'advanced',
      env: { ...process.env, ...env },
    });
    super(child, name);
    child.on('message', (reply: Reply) => this.settle(reply));
  }

  async call<M extends keyof FaultWorkerMethods>(
    method: M,
    ...args: Parameters<FaultWorkerMethods[M]>
  ): Promise<ReturnType<FaultWorkerMethods[M]>> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const error = new Error(`${this.name} did not answer: ${method}`);
      timer = setTimeout(() => reject(error), ANSWER_WITHIN_MS);
    });
    try {
      const answer = this.request(method, ...args);
      return (await Promise.race([answer, late])) as ReturnType<FaultWorkerMethods[M]>;
    } finally {
      clearTimeout(timer);
    }
  }

  override async kill(): Promise<void> {
    this.isKilled = true;
    await super.kill();
  }

  /** Closes the service and waits for the process to end by itself. @returns how it ended */
  async close(): Promise<string> {
    await this.call('close');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), EXIT_WITHIN_MS);
    const [code, signal] = await this.exited;
    clearTimeout(timer);
    return `exit ${String(code ?? signal)}`;
  }
}
