import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** What the proxy does to what passes it; everything can be changed while connections are open. */
export interface ProxyFault {
  /** Delays what passes, each way, by a random time up to this. */
  delayMs?: number;
  /** What the server answers comes when this is settled. */
  repliesAfter?: Promise<unknown>;
  /** The server hears everything, the client hears nothing. */
  dropReplies?: boolean;
  /** Nobody hears anything, and nobody is told. */
  isHalfOpen?: boolean;
  /** The client hears this instead of what the server answered. */
  rewrite?: (reply: string) => string;
}

/** Of a script that failed, an answer of Redis 7 or newer as Redis 6.2 has it. */
export function asOfRedis6(reply: string): string {
  return reply.replace(
    /^-([A-Z]+ [^\r]*) script: (\w+), on @user_script:(\d+)\.\r/gm,
    '-ERR Error running script (call to f_$2): @user_script:$3: @user_script: $3: -$1  \r',
  );
}

interface Pair {
  client: Socket;
  server: Socket;
  /** A connection that lost a part of its stream cannot be used any more. */
  isSpoilt: boolean;
  /** Died without a word. */
  isSilent: boolean;
  /** Subscribed to something. */
  isListening: boolean;
}

/** Stands between the clients and one Redis server. */
export class TcpProxy implements AsyncDisposable {
  fault: ProxyFault = {};
  private readonly pairs = new Set<Pair>();

  private constructor(private readonly server: Server) {}

  static async start(target: number): Promise<TcpProxy> {
    const server = createServer();
    const proxy = new TcpProxy(server);
    server.on('connection', (client: Socket) => proxy.join(client, target));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Breaks every connection that is open. */
  cut(): void {
    for (const { client, server } of this.pairs) {
      client.destroy();
      server.destroy();
    }
  }

  /** As a firewall that forgets: the connections that are open die without a word, new ones work. */
  silence(): void {
    for (const pair of this.pairs) pair.isSilent = true;
  }

  /** As {@link silence}, those only that listen. @returns how many there were */
  silenceListeners(): number {
    const listeners = Array.from(this.pairs).filter(({ isListening }) => isListening);
    for (const pair of listeners) pair.isSilent = true;
    return listeners.length;
  }

  /** Back to normal: connections that lost something are broken. */
  heal(): void {
    this.fault = {};
    for (const { client, server, isSpoilt } of this.pairs) {
      if (!isSpoilt) continue;
      client.destroy();
      server.destroy();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.server.close();
    await Promise.resolve();
  }

  private join(client: Socket, target: number): void {
    const pair: Pair = {
      client,
      server: connect(target, '127.0.0.1'),
      isSpoilt: false,
      isSilent: false,
      isListening: false,
    };
    this.pairs.add(pair);
    client.on('data', (data) => {
      pair.isListening ||= data.includes('\r\nsubscribe\r\n');
    });
    this.pass(pair, pair.client, pair.server, false);
    this.pass(pair, pair.server, pair.client, true);
  }

  private pass(pair: Pair, from: Socket, to: Socket, isReply: boolean): void {
    let last = connected(to);
    from.setNoDelay(true);
    from.on('data', (data) => {
      const { delayMs = 0, repliesAfter, dropReplies, isHalfOpen, rewrite } = this.fault;
      if (pair.isSilent || isHalfOpen || (dropReplies && isReply)) {
        pair.isSpoilt = true;
        return;
      }
      if (isReply && rewrite !== undefined) {
        data = Buffer.from(rewrite(data.toString('latin1')), 'latin1');
      }
      if (isReply && repliesAfter !== undefined) {
        last = Promise.all([last, repliesAfter]).then(() => void to.write(data));
        return;
      }
      if (delayMs === 0) {
        last = last.then(() => void to.write(data));
        return;
      }
      const arrived = wait(Math.random() * delayMs);
      last = last.then(() => arrived).then(() => void to.write(data));
    });
    from.on('error', () => undefined);
    from.on('close', () => {
      this.pairs.delete(pair);
      // Half-open: the other side is not told.
      if (this.fault.isHalfOpen) pair.isSpoilt = true;
      else to.destroy();
    });
  }
}

function connected(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.connecting) socket.once('connect', () => resolve());
    else resolve();
  });
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
