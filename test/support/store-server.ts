import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createHttpHandler } from '../../lib/http/http-handler.js';
import type { Access } from '../../lib/server/api-keys.js';
import { createRemoteStore, type RemoteStore } from '../../lib/server/remote/remote.routes.js';
import type { SemaphoreStore, StoreClient, StoreSession } from '../../lib/store/semaphore-store.js';

const EVERYTHING: Access = { name: 'all', isAdmin: true, mayUse: () => true };

/** A client of a store that listens to nothing. */
export const nobody: StoreClient = {
  granted: () => undefined,
  failed: () => undefined,
  revoked: () => undefined,
  permitsChanged: () => undefined,
  down: () => undefined,
  up: () => undefined,
};

/** The server's half of RemoteSemaphoreStore in this process, on a free port or the one given. */
export class StoreServer implements AsyncDisposable {
  private constructor(
    private readonly server: Server,
    readonly remote: RemoteStore,
    private readonly own: StoreSession,
  ) {}

  static async start(
    store: SemaphoreStore,
    { port = 0, access = EVERYTHING }: { port?: number; access?: Access } = {},
  ): Promise<StoreServer> {
    const own = store.connect(nobody);
    const remote = createRemoteStore({
      store,
      list: (...wanted) => own.list(...wanted),
      authenticate: () => access,
      maxSessions: 1000,
      maxPermits: 10_000,
    });
    const server = createServer(createHttpHandler({ routes: remote.routes }));
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return new StoreServer(server, remote, own);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Breaks every connection that is open. */
  cut(): void {
    this.server.closeAllConnections();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remote.close();
    this.server.closeAllConnections();
    this.server.close();
    await this.own.close();
  }
}
