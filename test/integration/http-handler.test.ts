import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerOptions } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import {
  createHttpHandler,
  type HttpCall,
  type HttpHandler,
  type HttpHandlerOptions,
} from '../../lib/http/http-handler.js';
import { HttpProblem, sendJson } from '../../lib/http/http-problem.js';
import { readJsonBody } from '../../lib/http/read-json-body.js';
import { useFakeTimers } from '../support/fake-timers.js';

const LIMITS = { maxBytes: 1000, timeoutMs: 60_000 };
const POST = 'POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: ';

type Listener = (handler: HttpHandler, ...call: Parameters<HttpHandler>) => unknown;

/** A server with one route, at `/`. */
class Served implements AsyncDisposable {
  private readonly server;

  constructor(
    handle: (call: HttpCall) => void | Promise<void>,
    { listener, node = {}, ...options }: Partial<HttpHandlerOptions> & Extras = {},
  ) {
    const route = { path: '/', handle, bodyTimeoutMs: LIMITS.timeoutMs };
    const routes = ['GET', 'POST'].map((method) => ({ ...route, method }));
    const handler = createHttpHandler({ routes, ...options });
    const listen: Listener = listener ?? ((own, ...call) => own(...call));
    this.server = createServer(node, (...call) => void listen(handler, ...call));
  }

  async url(): Promise<string> {
    if (!this.server.listening) await once(this.server.listen(0, '127.0.0.1'), 'listening');
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** A connection on which just this has been sent. */
  async send(text: string) {
    const socket = connect(Number(new URL(await this.url()).port), '127.0.0.1');
    socket.setEncoding('utf8').on('error', () => undefined);
    socket.write(text);
    return socket;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
  }
}

interface Extras {
  listener?: Listener;
  node?: ServerOptions;
}

function later<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => (resolve = settle));
  return { promise, resolve };
}

afterEach(() => {
  jest.useRealTimers();
});

describe('an answer', () => {
  test('is not to be kept by anybody, and has no body when only its head was asked for', async () => {
    const node = { rejectNonStandardBodyWrites: true };
    await using served = new Served(({ response }) => sendJson(response, 200, 'ok'), { node });
    const answer = await fetch(await served.url(), { method: 'HEAD' });
    expect([answer.status, answer.headers.get('content-length')]).toEqual([200, '4']);
    expect(answer.headers.get('cache-control')).toBe('no-store');
  });

  test('stays as it is when its route fails behind it', async () => {
    const failed = jest.fn();
    const listener: Listener = async (handler, request, response) => {
      response.once('error', failed);
      handler(request, response);
    };
    const late = new Error('late');
    const toProblem = jest.fn(() => new HttpProblem(500, 'LATE', 'late'));
    await using served = new Served(
      ({ response }) => {
        sendJson(response, 200, 'ok');
        throw late;
      },
      { listener, toProblem },
    );
    expect(await (await fetch(await served.url())).json()).toBe('ok');
    // Told once: the problem was not sent, and did not fail either.
    expect(toProblem.mock.calls).toEqual([[late]]);
    expect(failed).not.toHaveBeenCalled();
  });

  test('is a problem when a header cannot be sent', async () => {
    await using served = new Served(() => {
      throw new HttpProblem(400, 'ODD', 'odd', { headers: { 'x-odd': 'a\nb' } });
    });
    expect((await fetch(await served.url())).status).toBe(500);
  });

  test('that is a problem ends its connection where a body was left unread, and only there', async () => {
    const refuse = (): never => {
      throw new HttpProblem(403, 'STRANGER', 'stranger');
    };
    await using served = new Served(refuse);
    const connections = [{ method: 'GET' }, { method: 'POST', body: 'x' }].map(async (init) =>
      (await fetch(await served.url(), init)).headers.get('connection'),
    );
    expect(await Promise.all(connections)).toEqual(['keep-alive', 'close']);
  });

  test('that is a problem ends its connection while the server closes', async () => {
    const refuse = (): never => {
      throw new HttpProblem(503, 'CLOSED', 'closed');
    };
    await using served = new Served(refuse, { isClosing: () => true });
    expect((await fetch(await served.url())).headers.get('connection')).toBe('close');
  });

  test('of somebody else is the only one', async () => {
    const handle = jest.fn<(call: HttpCall) => void>();
    const listener: Listener = (handler, request, response) => {
      response.end('other');
      handler(request, response);
    };
    await using served = new Served(handle, { listener });
    expect(await (await fetch(await served.url())).text()).toBe('other');
    expect(handle).not.toHaveBeenCalled();
  });

  test('whose connection reports an error ends neither the handler nor the process', async () => {
    await using served = new Served(({ response }) => {
      response.emit('error', new Error('broken'));
      sendJson(response, 200, 'ok');
    });
    expect((await fetch(await served.url())).status).toBe(200);
  });
});

describe('a path that is unknown', () => {
  const headers = { 'x-own': 'yes' };
  const listener: Listener = (handler, request, response) =>
    handler(request, response, () => response.end('next'));

  test.each([
    ['at the root', '', 'yes'],
    ['beside its own', '/base', null],
  ])('is left to whoever comes next: %s', async (_where, base, own) => {
    const options = { listener, headers, basePath: () => base };
    await using served = new Served(() => undefined, options);
    const answer = await fetch(`${await served.url()}/based`);
    expect(await answer.text()).toBe('next');
    expect(answer.headers.get('x-own')).toBe(own);
  });

  test('is answered behind its own', async () => {
    await using served = new Served(() => undefined, { listener, basePath: () => '/base' });
    expect((await fetch(`${await served.url()}/base/unknown`)).status).toBe(404);
  });
});

describe('a hang-up', () => {
  test('is told also when it is asked for later', async () => {
    const asked = later<HttpCall>();
    await using served = new Served(asked.resolve);
    const socket = await served.send('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n');
    const call = await asked.promise;
    socket.destroy();
    await once(call.response, 'close');
    expect(call.hungUp.aborted).toBe(true);
  });

  test('is none when the answer was sent', async () => {
    const closed = later<boolean>();
    await using served = new Served(({ response, hungUp }) => {
      response.once('close', () => closed.resolve(hungUp.aborted));
      sendJson(response, 200, 'ok');
    });
    await fetch(await served.url());
    expect(await closed.promise).toBe(false);
  });
});

describe('a body', () => {
  const read = (request: IncomingMessage) =>
    readJsonBody(request, LIMITS).catch((problem: HttpProblem) => problem.code);

  test('that is announced as too long is refused before it comes', async () => {
    await using served = new Served(async ({ request, response }) => {
      sendJson(response, 200, [await read(request), request.complete]);
    });
    const socket = await served.send(`${POST}1001\r\n\r\n`);
    const [answer] = await once(socket, 'data');
    expect(answer).toContain('["BODY_TOO_LARGE",false]');
    socket.destroy();
  });

  test('that turns out to be too long is not read on', async () => {
    await using served = new Served(async ({ request, response }) => {
      sendJson(response, 200, [await read(request), request.isPaused()]);
    });
    const chunk = `${(1001).toString(16)}\r\n${'x'.repeat(1001)}\r\n`;
    const head = 'POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n';
    const socket = await served.send(head + chunk);
    const [answer] = await once(socket, 'data');
    expect(answer).toContain('["BODY_TOO_LARGE",true]');
    socket.destroy();
  });

  test('of who is gone already is incomplete', async () => {
    const [asked, code] = [later<void>(), later<unknown>()];
    await using served = new Served(async ({ request, response }) => {
      asked.resolve();
      await once(response, 'close');
      code.resolve(await read(request));
    });
    const socket = await served.send(`${POST}10\r\n\r\n{`);
    await asked.promise;
    socket.destroy();
    expect(await code.promise).toBe('INVALID_BODY');
  });

  test.each([
    [16, 'application/json; charset=UTF-8', 'read'],
    [1, 'application/vnd.api+json', 'read'],
    [17, 'application/json', 'INVALID_BODY'],
    [1, 'application/json; charset=UTF-16', 'UNSUPPORTED_MEDIA_TYPE'],
  ])('%d levels deep, as %s', async (depth, type, answer) => {
    await using served = new Served(async ({ request, response }) => {
      const body = await read(request);
      sendJson(response, 200, typeof body === 'string' ? body : 'read');
    });
    const body = '['.repeat(depth) + ']'.repeat(depth);
    const init = { method: 'POST', body, headers: { 'content-type': type } };
    expect(await (await fetch(await served.url(), init)).json()).toBe(answer);
  });

  const longest = JSON.stringify('x'.repeat(LIMITS.maxBytes - 2));
  const pieces = [longest.slice(0, 500), longest.slice(500)].map((piece) => Buffer.from(piece));

  test.each<[string, () => string | Buffer | ReadableStream, string]>([
    ['as long as it may be', () => longest, 'read'],
    ['in pieces', () => ReadableStream.from(pieces), 'read'],
    ['that is not UTF-8', () => Buffer.from([0x22, 0xff, 0x22]), 'INVALID_BODY'],
  ])('%s', async (_what, create, answer) => {
    await using served = new Served(async ({ request, response }) => {
      const body = await read(request);
      sendJson(response, 200, body === JSON.parse(longest) ? 'read' : body);
    });
    const headers = { 'content-type': 'application/json' };
    const init = { method: 'POST', body: create(), headers, duplex: 'half' } as RequestInit;
    expect(await (await fetch(await served.url(), init)).json()).toBe(answer);
  });

  test('of no length is none, whatever its type', async () => {
    await using served = new Served(async ({ request, response }) => {
      sendJson(response, 200, [await read(request)]);
    });
    const headers = { 'content-type': 'text/plain' };
    const answer = await fetch(await served.url(), { method: 'POST', headers });
    expect(await answer.json()).toEqual([null]);
  });

  test('leaves no timer behind when it was read', async () => {
    useFakeTimers();
    const [before, after] = [later<number>(), later<number>()];
    const listener: Listener = (handler, request, response) => {
      before.resolve(jest.getTimerCount());
      handler.limitBody(request, response);
      request.once('close', () => after.resolve(jest.getTimerCount()));
      handler(request, response);
    };
    const handle = async ({ request, response }: HttpCall) =>
      sendJson(response, 200, await read(request));
    await using served = new Served(handle, { listener });
    const socket = await served.send(`${POST}2\r\n\r\n{}`);
    expect(await after.promise).toBe(await before.promise);
    socket.destroy();
  });

  test('that has come in time may be read late', async () => {
    useFakeTimers();
    const arrived = later<Parameters<Listener>>();
    const listener: Listener = (...call) => {
      call[0].limitBody(call[1], call[2]);
      arrived.resolve(call);
    };
    await using served = new Served(() => undefined, { listener });
    const socket = await served.send(`${POST}2\r\n\r\n{}`);
    const [, request, response] = await arrived.promise;
    while (!request.complete) await new Promise(setImmediate);
    jest.advanceTimersByTime(LIMITS.timeoutMs);
    expect(response.headersSent).toBe(false);
    socket.destroy();
  });
});
