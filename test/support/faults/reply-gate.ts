import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** Stands before a Redis server and can hold back the replies to scripts; published messages pass. */
export class ReplyGate implements AsyncDisposable {
  private isOpen = true;
  private readonly held: (() => void)[] = [];
  private readonly sockets = new Set<Socket>();

  private constructor(private readonly server: Server) {}

  static async start(target: number): Promise<ReplyGate> {
    const server = createServer();
    const gate = new ReplyGate(server);
    server.on('connection', (client: Socket) => gate.join(client, connect(target, '127.0.0.1')));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return gate;
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  shut(): void {
    this.isOpen = false;
  }

  open(): void {
    this.isOpen = true;
    for (const pass of this.held.splice(0)) pass();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await Promise.resolve();
  }

  private join(client: Socket, upstream: Socket): void {
    let runsScripts = false;
    client.on('data', (data: Buffer) => {
      runsScripts ||= data.includes('evalsha');
      upstream.write(data);
    });
    upstream.on('data', (data: Buffer) => {
      if (this.isOpen || !runsScripts) client.write(data);
      else this.held.push(() => client.write(data));
    });
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      this.sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.sockets.delete(socket);
        other.destroy();
      });
    }
  }
}
