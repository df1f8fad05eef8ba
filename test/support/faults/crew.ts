import { jest } from '@jest/globals';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pollUntil, withRedis } from '../redis-admin.js';
import { uniquePrefix } from '../unique-prefix.js';
import { FaultWorker, type FaultWorkerOptions, type Load } from './fault-worker.js';
import { Journal } from './journal.js';

// Starting processes and servers takes its time on a busy machine.
jest.setTimeout(90_000);

export interface CrewOptions {
  service: FaultWorkerOptions;
  /** @default 2 */
  workers?: number;
  env?: (index: number) => NodeJS.ProcessEnv;
}

export interface Expectations {
  /** Ports of the servers whose keys must all be on their way out. */
  ports: readonly number[];
  /** Codes of errors that callers may have got. */
  refusals?: readonly string[];
  /** Redis lost data: only work that a fenced resource lets through is exclusive. */
  isFenced?: boolean;
  /** Keys to judge. @default the one of {@link Crew.contend} */
  keys?: readonly string[];
  settleWithinMs?: number;
}

export const KEY = 'contended';

/** How every fault has to end. */
export const ALL_IS_WELL = {
  wrongInHistory: [],
  unforeseenRefusals: [],
  callsWithoutOutcome: [],
  bugs: [],
  leftInProcesses: [],
  keysWithoutEnd: [],
  exits: ['exit 0'],
};

/** Several processes that contend for a semaphore while something breaks. */
export class Crew implements AsyncDisposable {
  readonly workers: FaultWorker[] = [];
  private load: Load | undefined;

  private constructor(
    readonly prefix: string,
    private readonly dir: string,
    readonly journal: Journal,
    private readonly options: CrewOptions,
  ) {}

  static async start(options: CrewOptions): Promise<Crew> {
    const dir = await mkdtemp(join(tmpdir(), 'nestjs-semaphore-faults-'));
    const file = join(dir, 'journal');
    await writeFile(file, '');
    const prefix = options.service.keyPrefix ?? uniquePrefix('fault');
    const crew = new Crew(prefix, dir, new Journal(file), options);
    try {
      await Promise.all(Array.from({ length: options.workers ?? 2 }, () => crew.hire()));
      return crew;
    } catch (error) {
      await crew[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** One more process. */
  async hire(options: FaultWorkerOptions = {}): Promise<FaultWorker> {
    const index = this.workers.length;
    const worker = new FaultWorker(
      `worker-${index + 1}`,
      join(this.dir, 'journal'),
      this.options.env?.(index),
    );
    this.workers.push(worker);
    await worker.call('open', { keyPrefix: this.prefix, ...this.options.service, ...options });
    return worker;
  }

  get alive(): FaultWorker[] {
    return this.workers.filter(({ isKilled }) => !isKilled);
  }

  /** All contend, until {@link settle}. */
  async contend(load: Partial<Load> = {}): Promise<void> {
    const complete = { key: KEY, fibers: 3, holdMs: 10, ...load };
    const options = { permits: 1, waitMs: 20_000, ...load.options };
    this.load = { ...complete, options };
    await Promise.all(this.alive.map((worker) => this.contendAlso(worker)));
  }

  /** A process that was hired later does as the others do. */
  async contendAlso(worker: FaultWorker): Promise<void> {
    if (this.load !== undefined) await worker.call('contend', this.load);
  }

  /** Resolves when every process that is alive has entered `count` times more. */
  async progress(count = 10, workers = this.alive): Promise<void> {
    this.journal.read();
    const goals = workers.map(({ name }) => ({
      name,
      goal: this.journal.entries(name) + count,
    }));
    await pollUntil(`${count} more entries of each process`, () => {
      this.journal.read();
      return Promise.resolve(goals.every(({ name, goal }) => this.journal.entries(name) >= goal));
    });
  }

  /** Ends the contention and tells how it went: to be compared with {@link ALL_IS_WELL}. */
  async settle(expected: Expectations): Promise<typeof ALL_IS_WELL> {
    const verdict = await this.judge(expected);
    const exits = await Promise.all(this.alive.map((worker) => worker.close()));
    return { ...verdict, exits: [...new Set(exits)] } as unknown as typeof ALL_IS_WELL;
  }

  /** Ends the contention and tells how it went; the processes live on. */
  async judge(expected: Expectations): Promise<Record<string, unknown[]>> {
    const { refusals = [], isFenced = false, keys = [KEY], settleWithinMs = 20_000 } = expected;
    await Promise.all(this.alive.map((worker) => worker.call('stop')));
    const leftInProcesses = await this.leftovers(settleWithinMs);
    const keysWithoutEnd = await Promise.all(
      expected.ports.map((port) => this.keysWithoutEnd(port)),
    );
    const journal = this.journal.read();
    const calls = journal.calls();
    const killed = new Set(this.workers.filter(({ isKilled }) => isKilled).map(({ name }) => name));
    return {
      wrongInHistory: keys.flatMap((key) => journal.faults(key, isFenced)),
      unforeseenRefusals: journal
        .of('refused')
        .filter(({ code }) => !refusals.includes(String(code))),
      callsWithoutOutcome: calls.filter(
        ({ asked, isOver }) => !isOver && !killed.has(asked.worker),
      ),
      bugs: journal.of('bug'),
      leftInProcesses,
      keysWithoutEnd: keysWithoutEnd.flat(),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.kill()));
    await rm(this.dir, { recursive: true, force: true });
  }

  /** What the processes still keep; unknown outcomes need some time to become known. */
  private async leftovers(withinMs: number): Promise<unknown[]> {
    let found: unknown[] = [];
    const isClean = async (): Promise<boolean> => {
      const states = await Promise.all(
        this.alive.map(async (worker) => [worker.name, await worker.call('state')] as const),
      );
      found = states
        .map(([name, state]) => ({ name, ...state.leftovers }))
        .filter((left) => Object.keys(left).length > 1);
      return found.length === 0;
    };
    await pollUntil('nothing is left in the processes', isClean, withinMs).catch(() => undefined);
    return found;
  }

  private keysWithoutEnd(port: number): Promise<string[]> {
    return withRedis(port, async (redis) => {
      const keys = await redis.keys(`${this.prefix}*`);
      const ends = await Promise.all(keys.map((key) => redis.pttl(key)));
      return keys.filter((_, i) => ends[i] === -1);
    });
  }
}
