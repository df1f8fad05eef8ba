import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** What a worker answers to a call. */
export interface Reply<E = Error> {
  call: number;
  value?: unknown;
  error?: E;
}

interface Pending {
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** A real process that does what it is told, one message a call. Ends with the process that started it. */
export abstract class WorkerProcess implements AsyncDisposable {
  private calls = 0;
  private readonly pending = new Map<number, Pending>();
  protected readonly exited: Promise<unknown[]>;

  protected constructor(
    protected readonly child: ChildProcess,
    readonly name = 'The worker',
  ) {
    this.exited = once(child, 'exit');
    void this.exited.then(() => this.failAll());
  }

  /** Makes the first call of a new worker; kills it when that fails. */
  protected async opened(options: object): Promise<this> {
    try {
      await this.request('open', options);
    } catch (error) {
      await this.kill();
      throw error;
    }
    return this;
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

  protected request(method: string, ...args: unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const call = ++this.calls;
      this.pending.set(call, { resolve, reject });
      this.child.send({ call, method, args });
    });
  }

  protected settle({ call, value, error }: Reply): void {
    const pending = this.pending.get(call);
    this.pending.delete(call);
    if (error === undefined) pending?.resolve(value);
    else pending?.reject(error);
  }

  private failAll(): void {
    for (const { reject } of this.pending.values()) reject(new Error(`${this.name} is gone`));
    this.pending.clear();
  }
}
