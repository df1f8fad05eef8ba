import {
  type CallHandler,
  Controller,
  type ExecutionContext,
  Get,
  Injectable,
  type NestInterceptor,
  StreamableFile,
  UseInterceptors,
} from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { map, type Observable } from 'rxjs';
import { Semaphore, SemaphoreInterceptor, SemaphoreService } from 'nestjs-semaphore';
import { adapters, Gate, TestApp } from '../support/nest-app.js';
import { nestMajor } from '../support/nest-version.js';

/** Nest 11 does not send them: it answers with an empty object. */
const whereIterablesAreSent = nestMajor === 11 ? it.skip : it;

let gate: Gate;
/** The response is over. */
let closed: Promise<unknown>;
let done: string[];

@Injectable()
class Watches implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const reply = context.switchToHttp().getResponse<ServerResponse & { raw?: ServerResponse }>();
    closed = once(reply.raw ?? reply, 'close');
    return next.handle();
  }
}

@Injectable()
class Wraps implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(map((data: unknown) => ({ data })));
  }
}

@Injectable()
class Replaces implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(map(() => 'instead'));
  }
}

async function* rows(): AsyncGenerator<string> {
  yield 'first ';
  await gate.stop();
  done.push('work');
  yield 'last';
}

@Injectable()
class Uses {
  constructor(private readonly semaphores: SemaphoreService) {}

  async held(): Promise<string> {
    return String((await this.semaphores.use('used')).isHeld);
  }
}

@Controller()
@UseInterceptors(Watches)
class Bodies {
  constructor(private readonly uses: Uses) {}

  @Semaphore({ key: 'rows' })
  @Get('rows')
  rows(): AsyncGenerator<string> {
    return rows();
  }

  @Semaphore({ key: 'file' })
  @Get('file')
  file(): StreamableFile {
    return new StreamableFile(Readable.from(rows()));
  }

  @Semaphore({ key: 'web' })
  @Get('web')
  web(): ReadableStream {
    return new ReadableStream({
      start: (controller) => controller.enqueue('first '),
      pull: () => void gate.stop(),
      async cancel() {
        await gate.stop();
        done.push('work');
      },
    });
  }

  @Semaphore({ key: 'silent' })
  @Get('silent')
  silent(): StreamableFile {
    const destroy = (error: Error | null, end: (error: Error | null) => void): void =>
      void setImmediate(end, error);
    const read = function (this: Readable): void {
      this.push('first ');
    };
    return new StreamableFile(new Readable({ emitClose: false, read, destroy }));
  }

  @UseInterceptors(Wraps)
  @Semaphore({ key: 'wrapped' })
  @Get('wrapped')
  wrapped(): AsyncGenerator<string> {
    return rows();
  }

  @UseInterceptors(Replaces)
  @Semaphore({ key: 'replaced' })
  @Get('replaced')
  replaced(): AsyncGenerator<string> {
    return rows();
  }

  @Semaphore({ key: 'used' })
  @Get('used-by-rows')
  async *usedByRows(): AsyncGenerator<string> {
    yield await this.uses.held();
  }

  @Semaphore({ key: 'used' })
  @Get('used-by-web')
  usedByWeb(): ReadableStream {
    const { uses } = this;
    return new ReadableStream(
      {
        async pull(controller) {
          controller.enqueue(await uses.held());
          controller.close();
        },
      },
      { highWaterMark: 0 },
    );
  }

  @UseInterceptors(SemaphoreInterceptor)
  @Get('used-undecorated')
  async *usedUndecorated(): AsyncGenerator<string> {
    yield await this.uses.held();
    await gate.stop();
  }
}

describe.each(adapters)('an answer that is sent bit by bit on $platform', ({ createAdapter }) => {
  let app: TestApp;

  beforeEach(async () => {
    gate = new Gate();
    done = [];
    app = await TestApp.start(createAdapter, { controllers: [Bodies], providers: [Uses] });
  });

  afterEach(async () => {
    gate.pass();
    await app.close();
  });

  /** A client that leaves when it has read something, and a server that knows it. */
  async function leaveMidway(path: string, when: Promise<unknown>): Promise<void> {
    const client = new AbortController();
    const response = await app.fetch(path, { signal: client.signal });
    await response.body?.getReader().read();
    await when;
    client.abort();
    await closed;
    await nextTurn();
    await nextTurn();
  }

  async function outlivesItsClient(path: string): Promise<void> {
    await leaveMidway(`/${path}`, gate.reached);
    expect(done).toEqual([]);
    await app.expectHeld(path);
    gate.pass();
    await app.expectFreed(path);
    expect(done).toEqual(['work']);
  }

  it('holds the permit until the step is done at which the client has left: file', () =>
    outlivesItsClient('file'));

  whereIterablesAreSent.each(['rows', 'web'])(
    'holds the permit until the step is done at which the client has left: %s',
    outlivesItsClient,
  );

  it('frees the permit of a stream that does not tell of its end', async () => {
    await leaveMidway('/silent', Promise.resolve());
    await app.expectFreed('silent');
  });

  whereIterablesAreSent(
    'holds the permit until it was sent, also in what an interceptor has wrapped it',
    async () => {
      const response = await app.fetch('/wrapped');
      await gate.reached;
      await app.expectHeld('wrapped');
      gate.pass();
      expect(await response.text()).toBe('first last');
      await app.expectFreed('wrapped');
    },
  );

  it.each([
    ['GET', '/replaced', 'replaced', 'instead'],
    ['HEAD', '/rows', 'rows', ''],
    ['HEAD', '/web', 'web', ''],
    ...(nestMajor === 11 ? [['GET', '/rows', 'rows', '{}']] : []),
  ])('frees the permit of what nobody reads: %s %s', async (method, path, key, text) => {
    gate.pass();
    expect(await (await app.fetch(path, { method })).text()).toBe(text);
    await app.expectFreed(key);
  });

  whereIterablesAreSent.each(['used-by-rows', 'used-by-web'])(
    'is made in the scope of its call: %s',
    async (path) => {
      expect(await (await app.fetch(`/${path}`)).text()).toBe('true');
      await app.expectFreed('used');
    },
  );

  whereIterablesAreSent(
    'is made in the scope of an undecorated handler, which lasts as long',
    async () => {
      await leaveMidway('/used-undecorated', gate.reached);
      await app.expectHeld('used');
      gate.pass();
      await app.expectFreed('used');
    },
  );
});
