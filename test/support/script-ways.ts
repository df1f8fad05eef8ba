import { Redis } from 'ioredis';
import { type RedisServer, startRedis } from './redis-server.js';
import { timedScript } from './timed-script.js';

/** The script with its short ways, and without: each has keys of its own, which begin with its name. */
export const WITH = 'short';
export const WITHOUT = 'long';

/** What a process was told. */
interface Message {
  channel: string;
  text: string;
}

/** Both on one server, by the time that {@link timedScript} reads. */
export class ScriptWays implements AsyncDisposable {
  private messages: Message[] = [];

  private constructor(
    private readonly server: RedisServer,
    readonly redis: Redis,
    private readonly listener: Redis,
    private readonly shas: ReadonlyMap<string, unknown>,
  ) {
    listener.on('pmessage', (_pattern, channel: string, text: string) => {
      this.messages.push({ channel, text });
    });
  }

  /** @param long {@link timedScript} without short ways */
  static async start(long: string): Promise<ScriptWays> {
    const server = await startRedis();
    const redis = new Redis(server.port);
    const listener = new Redis(server.port);
    await listener.psubscribe('*:@*');
    const shas = new Map([
      [WITH, await redis.script('LOAD', timedScript)],
      [WITHOUT, await redis.script('LOAD', long)],
    ]);
    return new ScriptWays(server, redis, listener, shas);
  }

  /** What the script answers to a call. */
  async call(prefix: string, keys: string[], args: string[]): Promise<unknown> {
    this.messages = [];
    return this.redis.evalsha(this.shas.get(prefix) as string, keys.length, ...keys, ...args);
  }

  /** What processes were told by the last call. */
  async heard(): Promise<readonly Message[]> {
    await this.listener.ping();
    return this.messages;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.redis.disconnect();
    this.listener.disconnect();
    await this.server.stop();
  }
}
