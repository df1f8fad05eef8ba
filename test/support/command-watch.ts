import { Redis } from 'ioredis';

/** Every command that clients send to a server, by name in lower case; what scripts do themselves is left out. */
export class CommandWatch implements AsyncDisposable {
  private readonly commands: { name: string; args: string[] }[] = [];

  private constructor(
    private readonly monitor: Redis,
    private readonly marker: Redis,
  ) {}

  static async start(port: number): Promise<CommandWatch> {
    const marker = new Redis(port, '127.0.0.1');
    const monitor = await marker.monitor();
    const watch = new CommandWatch(monitor, marker);
    monitor.on('monitor', (_time: string, [name = '', ...args]: string[], source: string) => {
      if (source !== 'lua') watch.commands.push({ name: name.toLowerCase(), args });
    });
    return watch;
  }

  /** Names of what was sent since the last call. */
  async take(): Promise<string[]> {
    return (await this.takeAll()).map(({ name }) => name);
  }

  /** What was sent since the last call. */
  async takeAll(): Promise<{ name: string; args: string[] }[]> {
    const mark = `mark ${Math.random()}`;
    await this.marker.echo(mark);
    while (!this.commands.some(({ args }) => args.includes(mark))) {
      await new Promise((resolve) => this.monitor.once('monitor', resolve));
    }
    return this.commands.splice(0).filter(({ name }) => name !== 'echo' && name !== 'ping');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.monitor.disconnect();
    this.marker.disconnect();
    await Promise.resolve();
  }
}
