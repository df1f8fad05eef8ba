import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname } from 'node:path';
import { gzipSync } from 'node:zlib';
import { ASSETS } from './assets/embedded.js';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
};

/** In `accept-encoding`, unless it says that it will not have it. */
const GZIP = /\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/i;

interface Asset {
  type: string;
  etag: string;
  plain: Buffer;
  zipped: Buffer;
}

/** The files of the page. */
export class AssetFiles {
  private readonly assets = new Map<string, Asset>();

  constructor() {
    for (const [name, text] of Object.entries(ASSETS)) {
      const type = TYPES[extname(name)] as string;
      const plain = Buffer.from(text);
      const etag = `"${createHash('sha256').update(plain).digest('base64url').slice(0, 22)}"`;
      this.assets.set(name, { type, etag, plain, zipped: gzipSync(plain) });
    }
  }

  /** @returns false when there is no such file */
  send(name: string, request: IncomingMessage, response: ServerResponse): boolean {
    const asset = this.assets.get(name);
    if (asset === undefined) return false;
    const { type, etag, plain, zipped } = asset;
    const headers = { 'cache-control': 'private, no-cache', etag, vary: 'accept-encoding' };
    // A proxy on the way may have made it a weak one.
    if (request.headers['if-none-match']?.includes(etag) === true) {
      response.writeHead(304, headers).end();
      return true;
    }
    const takesZipped = GZIP.test(String(request.headers['accept-encoding'] ?? ''));
    const body = takesZipped ? zipped : plain;
    response.writeHead(200, {
      ...headers,
      'content-type': type,
      'content-length': body.length,
      ...(takesZipped && { 'content-encoding': 'gzip' }),
    });
    response.end(request.method === 'HEAD' ? undefined : body);
    return true;
  }
}
