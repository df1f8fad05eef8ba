import type { Clock } from '../clock.js';
import { limitHandshake } from './connection-limits.js';
import { Predecessor } from './predecessor.js';
import type { Connection } from './redis.connection.js';
import { onSelected } from './redis.database.js';
import type { Ping, RedisServers, ServersEvents } from './redis.servers.js';
import { semaphoreScript } from './scripts/embedded.js';
import { WriteCheck } from './write-check.js';

/** One server: a connection for commands, and another one that listens. */
export class SingleServer implements RedisServers {
  private readonly writes: WriteCheck;
  private readonly predecessor = new Predecessor();

  /** @param unusedKey that nothing is kept at */
  constructor(
    readonly commands: Connection,
    readonly subscriber: Connection,
    unusedKey: string,
    private readonly clock: Clock,
    private readonly timeoutMs: number,
    private readonly events: ServersEvents,
  ) {
    this.writes = new WriteCheck(clock, timeoutMs, unusedKey);
  }

  start(): void {
    const { commands, subscriber, clock, timeoutMs, events } = this;
    limitHandshake(commands, clock, timeoutMs);
    limitHandshake(subscriber, clock, timeoutMs);
    subscriber.on('ready', events.canSubscribe);
    if (subscriber.status === 'ready') events.canSubscribe();
    onSelected(commands, clock, timeoutMs, {
      done: () => this.writes.passed(commands, () => this.ready()),
      refused: events.down,
    });
  }

  subscribe(channel: string): Promise<unknown> {
    return this.subscriber.subscribe(channel);
  }

  masters(): Connection[] {
    return [this.commands];
  }

  masterOf(): Connection {
    return this.commands;
  }

  health(): Promise<unknown> {
    return this.commands.ping();
  }

  keepAlive(ping: Ping): void {
    ping(this.subscriber, () => this.subscriber.disconnect(true));
    ping(this.commands, () => this.events.silent(new Error('Redis did not answer a PING')));
  }

  suspect(error: Error): void {
    this.writes.note(error);
    // First: many calls may suspect it before it is closed.
    this.events.down(error);
    this.commands.disconnect(true);
  }

  private ready(): void {
    this.predecessor.end(this.commands);
    // Without it the first burst would send the whole text many times. When it fails, calls send the text themselves.
    this.commands.script('LOAD', semaphoreScript).catch(() => undefined);
    this.events.ready();
  }
}
