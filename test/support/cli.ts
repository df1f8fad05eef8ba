import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export interface CliResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface CliOptions {
  env?: Record<string, string>;
  cwd?: string;
}

/** A process of the built command line; without a terminal, and without variables that say where semaphores are. */
export class Cli implements AsyncDisposable {
  stdout = '';
  stderr = '';
  readonly exited: Promise<CliResult>;
  private readonly child: ChildProcess;
  private readonly listeners = new Set<() => void>();

  constructor(args: readonly string[], { env = {}, cwd = tmpdir() }: CliOptions = {}) {
    const { REDIS_URL: _, SEMAPHORE_URL: __, ...inherited } = process.env;
    this.child = spawn(process.execPath, [MAIN, ...args], {
      cwd,
      env: { ...inherited, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => this.add('stdout', text));
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => this.add('stderr', text));
    this.exited = once(this.child, 'close').then(([code]) => {
      for (const listener of this.listeners) listener();
      return { code: code as number | null, stdout: this.stdout, stderr: this.stderr };
    });
  }

  /** Runs to its end. */
  static run(args: readonly string[], options?: CliOptions): Promise<CliResult> {
    return new Cli(args, options).exited;
  }

  /** A server that listens. @returns it and its URL */
  static async serve(
    args: readonly string[],
    options?: CliOptions,
  ): Promise<{ server: Cli; url: string }> {
    const server = new Cli(['serve', ...args], options);
    const [, url] = await server.said(/Listening on (\S+);/);
    return { server, url: url as string };
  }

  /** What it writes that matches, as soon as it does. */
  said(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const check = (): void => {
        const match = pattern.exec(this.stdout) ?? pattern.exec(this.stderr);
        const isOver = this.child.exitCode !== null || this.child.signalCode !== null;
        if (match === null && !isOver) return;
        this.listeners.delete(check);
        if (match !== null) resolve(match);
        else reject(new Error(`It ended without ${pattern}:\n${this.stdout}${this.stderr}`));
      };
      this.listeners.add(check);
      check();
    });
  }

  /** Whoever has read its stdout is gone. */
  closeOutput(): void {
    this.child.stdout?.destroy();
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }

  private add(stream: 'stdout' | 'stderr', text: string): void {
    this[stream] += text;
    for (const listener of this.listeners) listener();
  }
}
