import { Redis } from 'ioredis';
import type { Arrival } from './history.js';
import { withRedis } from './redis-admin.js';

/** Commands that a server has run, those inside of scripts included; by name in lower case. */
export interface CommandCounts {
  total: number;
  scripts: number;
  of(command: string): number;
}

export function countCommands(port: number): Promise<CommandCounts> {
  return withRedis(port, (redis) => readCounts(redis));
}

/** With a connection of the caller's own: the count contains nothing but this one INFO more than the last one. */
export async function readCounts(redis: Redis): Promise<CommandCounts> {
  const info = await redis.info('all');
  const number = (pattern: RegExp): number => Number(pattern.exec(info)?.[1] ?? 0);
  const of = (command: string): number => number(new RegExp(`cmdstat_${command}:calls=(\\d+)`));
  return {
    total: number(/total_commands_processed:(\d+)/),
    scripts: of('evalsha') + of('eval'),
    of,
  };
}

/** Notes in which order a server sees the labels of requests. */
export class ArrivalWatch implements AsyncDisposable {
  readonly arrivals = new Map<string, Arrival>();

  private constructor(private readonly monitor: Redis) {}

  /** @param pattern what a label looks like; it may stand anywhere in an argument of a command */
  static async start(port: number, pattern: RegExp): Promise<ArrivalWatch> {
    const redis = new Redis(port, '127.0.0.1');
    const monitor = await redis.monitor();
    redis.disconnect();
    const watch = new ArrivalWatch(monitor);
    monitor.on('monitor', (time: string, args: string[], source: string) => {
      if (source === 'lua') return;
      for (const arg of args) {
        const label = pattern.exec(arg)?.[0];
        if (label !== undefined && !watch.arrivals.has(label)) {
          watch.arrivals.set(label, { order: watch.arrivals.size, at: Number(time) * 1000 });
        }
      }
    });
    return watch;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.monitor.disconnect();
    await Promise.resolve();
  }
}
