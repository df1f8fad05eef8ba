import { afterAll, beforeAll } from '@jest/globals';
import { Redis } from 'ioredis';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { fakeTimeEnv } from './redis-clock.js';
import { freePort } from './redis-ports.js';
import { guardProcess, type ProcessGuard } from './redis-process-guard.js';

export interface RedisServerOptions {
  /** More arguments for redis-server, such as `['--appendonly', 'yes']`; they win over the defaults. */
  args?: readonly string[];
  /** @default a free one */
  port?: number;
  /** Shifts the server's clock, such as `'+3600'` or `'-2.5'` (seconds). Needs libfaketime: see `canFakeTime`. */
  faketime?: string;
  /** Runs a sentinel with this configuration instead of a data server. */
  sentinel?: string;
}

const START_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 5_000;
const START_ATTEMPTS = 5;

/** A server for the tests of a file or of a `describe`: there from before the first of them until after the last. */
export function useRedis(options?: RedisServerOptions): RedisServer {
  const server = new RedisServer(options);
  beforeAll(() => server.start());
  afterAll(() => server.stop());
  return server;
}

/** A server for one test. */
export async function startRedis(options?: RedisServerOptions): Promise<RedisServer> {
  const server = new RedisServer(options);
  await server.start();
  return server;
}

/**
 * A real redis-server without persistence on the loopback interface; it dies with the process that started it, however that
 * one ends.
 */
export class RedisServer implements AsyncDisposable {
  readonly host = '127.0.0.1';
  private place: { port: number; dir: string } | undefined;
  private connection: Redis | undefined;
  private child: ChildProcess | undefined;
  private guard: ProcessGuard | undefined;
  private output = '';

  constructor(private readonly options: RedisServerOptions = {}) {}

  get port(): number {
    return this.started.port;
  }

  get dir(): string {
    return this.started.dir;
  }

  get url(): string {
    return `redis://${this.host}:${this.port}`;
  }

  /** A connection of the test's own, which ends with the server. */
  get admin(): Redis {
    return (this.connection ??= new Redis(this.port, this.host));
  }

  get process(): ChildProcess {
    if (this.child === undefined) throw new Error(`Redis on port ${this.port} is not running`);
    return this.child;
  }

  get pid(): number {
    return this.process.pid ?? Number.NaN;
  }

  get isRunning(): boolean {
    return this.child !== undefined && !hasExited(this.child);
  }

  /** What the server has logged since its last start. */
  get log(): string {
    return this.output;
  }

  /** Resolves when it accepts commands. */
  async start(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const dir = await mkdtemp(join(tmpdir(), 'nestjs-semaphore-redis-'));
      this.place = { port: this.options.port ?? (await freePort()), dir };
      try {
        await this.restart();
        return;
      } catch (error) {
        await this.stop();
        if (this.options.port !== undefined || attempt === START_ATTEMPTS) throw error;
      }
    }
  }

  /** Ends the server if it runs and starts it on the same port and folder, with other arguments if given. */
  async restart(args: readonly string[] = this.options.args ?? []): Promise<void> {
    await this.end('SIGTERM');
    await mkdir(this.dir, { recursive: true });
    const env = await this.environment();
    const child = spawn('redis-server', await this.commandLine(args), {
      cwd: this.dir,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child = child;
    await this.untilReady(child);
    this.guard = guardProcess(this.pid, this.dir);
    letGo(child);
  }

  /** Shuts down in good order and deletes the server's folder. */
  async stop(): Promise<void> {
    this.connection?.disconnect();
    this.connection = undefined;
    await this.end('SIGTERM');
    await rm(this.dir, { recursive: true, force: true });
  }

  /** A crash: SIGKILL. The folder stays for a `restart()`. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  /** Freezes the server: its connections stay open, nothing answers. */
  pause(): void {
    this.process.kill('SIGSTOP');
  }

  resume(): void {
    this.process.kill('SIGCONT');
  }

  /** Moves the clock of a server that was started with `faketime`, such as `'+86400'` (seconds). */
  async setClock(offset: string): Promise<void> {
    await writeFile(`${this.clockFile}.next`, `${offset}\n`);
    await rename(`${this.clockFile}.next`, this.clockFile);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  private get started(): { port: number; dir: string } {
    if (this.place === undefined) throw new Error('This Redis has not been started');
    return this.place;
  }

  private get clockFile(): string {
    return join(this.dir, 'clock');
  }

  private async environment(): Promise<NodeJS.ProcessEnv> {
    if (this.options.faketime === undefined) return process.env;
    await this.setClock(this.options.faketime);
    return { ...process.env, ...fakeTimeEnv(this.clockFile) };
  }

  private async commandLine(args: readonly string[]): Promise<string[]> {
    const common = ['--port', `${this.port}`, '--bind', this.host, '--dir', this.dir];
    if (this.options.sentinel === undefined) {
      return [...common, '--save', '', '--appendonly', 'no', ...args];
    }
    const file = join(this.dir, 'sentinel.conf');
    await writeFile(file, this.options.sentinel, { flag: 'a' });
    return [file, '--sentinel', ...common, ...args];
  }

  /** Reads the server's own log: an answered PING could come from a stranger on the same port. */
  private untilReady(child: ChildProcess): Promise<void> {
    this.output = '';
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(timer);
        child.off('exit', onExit);
      };
      const fail = (reason: string): void => {
        settle();
        child.kill('SIGKILL');
        reject(new Error(`redis-server on port ${this.port} ${reason}\n${this.output}`));
      };
      const onExit = (code: number | null, signal: string | null): void =>
        fail(`ended at its start (${code ?? signal})`);
      const timer = setTimeout(
        () => fail(`was not ready after ${START_TIMEOUT_MS} ms`),
        START_TIMEOUT_MS,
      );
      child.once('error', (error) => fail(`could not be started: ${error.message}`));
      child.once('exit', onExit);
      for (const stream of outputsOf(child)) {
        stream.setEncoding('utf8').on('data', (text: string) => {
          this.output = (this.output + text).slice(-100_000);
          if (!/Ready to accept connections|Sentinel ID is/.test(this.output)) return;
          settle();
          resolve();
        });
      }
    });
  }

  private async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.child;
    this.child = undefined;
    if (child !== undefined && child.pid !== undefined && !hasExited(child)) {
      child.ref();
      const exited = once(child, 'exit');
      child.kill(signal);
      child.kill('SIGCONT');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      await exited;
      clearTimeout(timer);
    }
    this.guard?.dismiss();
    this.guard = undefined;
  }
}

function hasExited(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function outputsOf(child: ChildProcess): Readable[] {
  return [child.stdout, child.stderr].filter((stream) => stream !== null);
}

/** A server that a test forgot must not keep the test process alive; the guard ends it then. */
function letGo(child: ChildProcess): void {
  child.unref();
  for (const stream of outputsOf(child)) (stream as Readable & { unref?(): void }).unref?.();
}
