import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/**
 * Stands before a Redis server. Can break a connection for its client while what the client sent last is still on its way, and
 * let that arrive later.
 */
export class LateCopy implements AsyncDisposable {
  private pattern: RegExp | undefined;
  private isKept: ((breakIt: () => void) => void) | undefined;
  private deliverKept: () => void = () => undefined;
  private readonly sockets = new Set<Socket>();

  private constructor(private readonly server: Server) {}

  static async start(target: number): Promise<LateCopy> {
    const server = createServer();
    const copy = new LateCopy(server);
    server.on('connection', (client: Socket) => copy.join(client, connect(target, '127.0.0.1')));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return copy;
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Keeps the next data that match, and breaks their connection; resolves when it has. */
  async keep(pattern: RegExp): Promise<void> {
    (await this.stall(pattern))();
  }

  /** Keeps the next data that match, and what follows on their connection; resolves with what breaks it for the client. */
  stall(pattern: RegExp): Promise<() => void> {
    this.pattern = pattern;
    return new Promise((resolve) => (this.isKept = resolve));
  }

  /** Lets arrive what was kept. */
  deliver(): void {
    this.deliverKept();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await Promise.resolve();
  }

  private join(client: Socket, upstream: Socket): void {
    let isStalled = false;
    for (const socket of [client, upstream]) {
      this.sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => this.sockets.delete(socket));
    }
    client.on('data', (data: Buffer) => {
      if (isStalled) return;
      if (this.pattern?.test(data.toString('latin1')) !== true) {
        upstream.write(data);
        return;
      }
      isStalled = true;
      this.pattern = undefined;
      this.deliverKept = () => upstream.end(data);
      this.isKept?.(() => client.destroy());
    });
    upstream.on('data', (data: Buffer) => client.write(data));
    upstream.on('close', () => client.destroy());
    client.on('close', () => {
      if (!isStalled) upstream.destroy();
    });
  }
}
