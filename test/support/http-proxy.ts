import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Passes requests on to a server; can keep the bodies of the answers to POST for itself, and refuse long bodies. */
export class HttpProxy implements AsyncDisposable {
  /** Answers to POST have headers, and then nothing. */
  isStalling = false;
  /** Longer ones are answered with 413, as nginx does from 1 MB on when nobody says otherwise. */
  maxBodyBytes = Infinity;

  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async start(target: string): Promise<HttpProxy> {
    const server = createServer();
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    const proxy = new HttpProxy(server, `http://127.0.0.1:${port}`);
    proxy.passOn(target);
    return proxy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.close();
    this.server.closeAllConnections();
  }

  private passOn(target: string): void {
    this.server.on('request', ({ method, url, headers }, answer) => {
      const { req: asked } = answer;
      if (Number(headers['content-length'] ?? 0) > this.maxBodyBytes) {
        answer.writeHead(413, { 'content-type': 'text/html', connection: 'close' });
        answer.end('<html>413 Request Entity Too Large</html>');
        return;
      }
      const passed = request(new URL(url ?? '/', target), { method, headers }, (response) => {
        answer.writeHead(response.statusCode ?? 500, response.headers);
        if (method !== 'POST' || !this.isStalling) response.pipe(answer);
        else {
          answer.flushHeaders();
          response.resume();
        }
      });
      passed.on('error', () => answer.destroy());
      answer.once('close', () => passed.destroy());
      asked.pipe(passed);
    });
  }
}
