import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { AcquireOptions, SemaphoreModuleOptions, SemaphoreSnapshot } from 'nestjs-semaphore';

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

interface Pending {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

const SCRIPT = fileURLToPath(new URL('./fault-worker.mjs', import.meta.url));
const EXIT_WITHIN_MS = 10_000;
const ANSWER_WITHIN_MS = 40_000;

/** A real process with a service of its own, made from the built package. */
export class FaultWorker {
  isKilled = false;
  private calls = 0;
  private readonly pending = new Map<number, Pending>();
  private readonly child: ChildProcess;
  private readonly exited: Promise<unknown[]>;

  constructor(
    readonly name: string,
    journal: string,
    env: NodeJS.ProcessEnv = {},
  ) {
    this.child = fork(SCRIPT, [journal, name], {
      execArgv: ['--expose-gc'],
      serialization: 'advanced',
      env: { ...process.env, ...env },
    });
    this.exited = once(this.child, 'exit');
    void this.exited.then(() => {
      for (const { reject } of this.pending.values()) reject(new Error(`${name} is gone`));
      this.pending.clear();
    });
    this.child.on('message', ({ call, value, error }: Reply) => {
      const pending = this.pending.get(call);
      this.pending.delete(call);
      if (error === undefined) pending?.resolve(value);
      else pending?.reject(error);
    });
  }

  call<M extends keyof FaultWorkerMethods>(
    method: M,
    ...args: Parameters<FaultWorkerMethods[M]>
  ): Promise<ReturnType<FaultWorkerMethods[M]>> {
    return new Promise((resolve, reject) => {
      const call = ++this.calls;
      const timer = setTimeout(
        () => reject(new Error(`${this.name} did not answer: ${method}`)),
        ANSWER_WITHIN_MS,
      );
      const settle = <T>(how: (value: T) => void): ((value: T) => void) => {
        return (value) => {
          clearTimeout(timer);
          how(value);
        };
      };
      this.pending.set(call, {
        resolve: settle(resolve as (value: unknown) => void),
        reject: settle(reject),
      });
      this.child.send({ call, method, args });
    });
  }

  /** SIGKILL. Resolves when the process is gone. */
  async kill(): Promise<void> {
    this.isKilled = true;
    this.child.kill('SIGKILL');
    await this.exited;
  }

  pause(): void {
    this.child.kill('SIGSTOP');
  }

  resume(): void {
    this.child.kill('SIGCONT');
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

interface Reply {
  call: number;
  value?: unknown;
  error?: Error;
}
