import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { guardProcess, type ProcessGuard } from '../support/redis-process-guard.js';
import { pollUntil } from '../support/redis-admin.js';

/** How long building and installing may take on a slow machine, before the first test. */
export const PREPARE_TIMEOUT_MS = 300_000;
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 20_000;

export const appFolder = fileURLToPath(new URL('../../sample-app/', import.meta.url));
const tool = fileURLToPath(new URL('../../tools/sample-app.mjs', import.meta.url));

/** One report, as the app tells of it; times are milliseconds of a clock that all processes of the machine share. */
export interface Run {
  id: string;
  pid: number;
  arrivedAt: number;
  enteredAt: number;
  leftAt: number;
}

export interface Answer<T = unknown> {
  status: number;
  headers: Headers;
  body: T;
}

/** Builds the library, installs the app and builds it, as far as that is not done. */
export async function prepareSampleApp(): Promise<void> {
  const child = spawn(process.execPath, [tool, '--prepare'], { stdio: ['ignore', 'pipe', 'pipe'] });
  const output = Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) {
    throw new Error(`The sample app could not be prepared:\n${(await output).join('\n')}`);
  }
}

/** The app in a process of its own, on a free port. */
export class SampleApp implements AsyncDisposable {
  url = '';
  private output = '';
  private readonly guard: ProcessGuard;
  private readonly exited: Promise<number | null>;

  private constructor(
    private readonly child: ChildProcess,
    private readonly folder: string,
  ) {
    this.exited = once(child, 'exit').then(([code]) => code as number | null);
    this.guard = guardProcess(child.pid ?? 0, folder);
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (piece: string) => {
        this.output += piece;
      });
    }
  }

  static async start(env: { REDIS_URL?: string; REPORT_MS?: string } = {}): Promise<SampleApp> {
    const folder = await mkdtemp(join(tmpdir(), 'nestjs-semaphore-sample-'));
    const child = spawn(process.execPath, [join(appFolder, 'dist', 'main.js')], {
      cwd: folder,
      env: { ...process.env, REDIS_URL: '', NO_COLOR: '1', ...env, PORT: '0' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const app = new SampleApp(child, folder);
    try {
      await app.untilReady();
      return app;
    } catch (error) {
      await app.stop('SIGKILL');
      throw error;
    }
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  async ask<T = unknown>(path: string, init?: RequestInit): Promise<Answer<T>> {
    const response = await fetch(new URL(path, this.url), init);
    const { status, headers } = response;
    return { status, headers, body: (await response.json()) as T };
  }

  post<T = unknown>(path: string, body: unknown): Promise<Answer<T>> {
    const headers = { 'content-type': 'application/json' };
    return this.ask<T>(path, { method: 'POST', headers, body: JSON.stringify(body) });
  }

  async runs(): Promise<Run[]> {
    return (await this.ask<Run[]>('/reports/runs')).body;
  }

  /** Resolves when so many reports are made and so many wait, in all instances. */
  async untilReports(expected: { held: number; waiting: number }): Promise<void> {
    await pollUntil(`${JSON.stringify(expected)} in ${this.url}/reports/status`, async () => {
      const { body } = await this.ask<{ held: number; waiting: number }>('/reports/status');
      return body.held === expected.held && body.waiting === expected.waiting;
    });
  }

  /** @returns the exit code; null when a signal ended the process */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<number | null> {
    this.child.kill(signal);
    const timer = setTimeout(() => this.child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    const code = await this.exited;
    clearTimeout(timer);
    this.guard.dismiss();
    await rm(this.folder, { recursive: true, force: true });
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('SIGKILL');
  }

  private async untilReady(): Promise<void> {
    const find = (): string | undefined => /Open (http:\S+)/.exec(this.output)?.[1];
    const isOver = (): boolean => this.child.exitCode !== null || this.child.signalCode !== null;
    await pollUntil(
      'the sample app tells its address',
      () => Promise.resolve(find() !== undefined || isOver()),
      START_TIMEOUT_MS,
    );
    const url = find();
    if (url === undefined) throw new Error(`The sample app ended at its start:\n${this.output}`);
    this.url = url;
  }
}

/** The largest number of reports that were inside at one time. */
export function mostAtOnce(runs: readonly Pick<Run, 'enteredAt' | 'leftAt'>[]): number {
  const steps = runs.flatMap(({ enteredAt, leftAt }) => [
    { at: enteredAt, change: 1 },
    { at: leftAt, change: -1 },
  ]);
  // Who leaves at the very time at which another enters was there before.
  steps.sort((a, b) => a.at - b.at || a.change - b.change);
  let [inside, most] = [0, 0];
  for (const { change } of steps) {
    inside += change;
    most = Math.max(most, inside);
  }
  return most;
}
