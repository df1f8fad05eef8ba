import {
  type BeforeApplicationShutdown,
  Controller,
  Get,
  Injectable,
  type OnModuleDestroy,
} from '@nestjs/common';
import { ClientProxyFactory, Transport } from '@nestjs/microservices';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { firstValueFrom } from 'rxjs';
import {
  MemorySemaphoreStore,
  Semaphore,
  SemaphoreClosedError,
  SemaphoreService,
  type StoreClient,
  type StoreSession,
} from 'nestjs-semaphore';
import { adapters, Gate, TestApp } from '../support/nest-app.js';

let gate: Gate;
let log: string[];

@Controller()
class Handlers {
  @Semaphore()
  @Get()
  async handle(): Promise<string> {
    await gate.stop();
    return 'done';
  }
}

/** Has something to finish when the application closes. */
@Injectable()
class Flushes implements OnModuleDestroy {
  constructor(private readonly semaphores: SemaphoreService) {}

  async onModuleDestroy(): Promise<void> {
    await this.semaphores.withPermit('flush', () => log.push('flushed'));
  }
}

/** Works on something that is no request, which its application waits for. */
@Injectable()
class Works implements BeforeApplicationShutdown {
  job: Promise<void> | undefined;

  async beforeApplicationShutdown(): Promise<void> {
    if (this.job === undefined) return;
    gate.pass();
    await this.job;
  }
}

class LoggingStore extends MemorySemaphoreStore {
  override connect(client: StoreClient): StoreSession {
    const session = super.connect(client);
    const close = session.close.bind(session);
    session.close = () => {
      log.push('disconnected');
      return close();
    };
    return session;
  }
}

describe.each(adapters)('app.close() on $platform', ({ createAdapter }) => {
  let app: TestApp;

  beforeEach(async () => {
    gate = new Gate();
    log = [];
    const metadata = { controllers: [Handlers], providers: [Flushes, Works] };
    const options = { store: new LoggingStore() };
    app = await TestApp.start(createAdapter, metadata, options, undefined, false);
    app.semaphores.events.subscribe(({ type, key }) => log.push(`${type} ${key}`));
  });

  afterEach(async () => {
    gate.pass();
    // Nest 11 rejects a second time with what the hooks throw that it runs again.
    if (!log.includes('disconnected')) await app.close();
  });

  it('sends waiters away, lets requests in flight finish, and disconnects last', async () => {
    // Fastify's own close() waits for idle connections that were busy when it began.
    const init = { headers: { connection: 'close' } };
    const working = app.fetch('/', init);
    await gate.reached;
    const waiting = app.fetch('/', init);
    await app.happened('waiting', 'Handlers.handle');
    log.length = 0;
    const closed = app.app.close();
    const refused = await waiting;
    expect(refused.status).toBe(503);
    expect(refused.headers.has('retry-after')).toBe(true);
    await app.expectHeld('Handlers.handle');
    await expect(app.semaphores.acquire('k')).rejects.toThrow(SemaphoreClosedError);
    gate.pass();
    expect(await (await working).text()).toBe('done');
    await closed;
    expect(log).toEqual([
      'acquired flush',
      'flushed',
      'released flush',
      'rejected Handlers.handle',
      'rejected k',
      'released Handlers.handle',
      'disconnected',
    ]);
  });

  it('takes back the permit of other work that a hook of the application waits for', async () => {
    app.app.get(Works).job = app.semaphores.withPermit('job', () => gate.stop(), {
      leaseMs: Infinity,
    });
    await gate.reached;
    await app.app.close();
    expect(log.slice(-2)).toEqual(['released job', 'disconnected']);
  });

  it('is idempotent', async () => {
    await Promise.all([app.app.close(), app.app.close()]);
    await app.semaphores.close();
    expect(log.filter((line) => line === 'disconnected')).toHaveLength(1);
  });
});

/** Starts a script of `fixtures`; `said` resolves with its first line that begins so. */
function start(fixture: string) {
  const script = fileURLToPath(new URL(`./fixtures/${fixture}.mjs`, import.meta.url));
  const child = spawn(process.execPath, [script], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exit = once(child, 'exit');
  const lines: string[] = [];
  const output = createInterface(child.stdout);
  output.on('line', (line) => lines.push(line));
  const said = async (what: string): Promise<string> => {
    for (;;) {
      const line = lines.find((candidate) => candidate.startsWith(what));
      if (line !== undefined) return line;
      await once(output, 'line');
    }
  };
  return { child, exit, lines, said };
}

describe('SIGTERM', () => {
  it('rejects waiters, lets the work finish, and ends the process', async () => {
    const { child, exit, lines, said } = start('sigterm-app');
    const url = (await said('http')).trim();
    const working = fetch(url);
    await said('acquired');
    const waiting = fetch(url);
    await said('waiting');
    child.kill('SIGTERM');
    expect((await waiting).status).toBe(503);
    child.stdin.end('go on');
    expect(await (await working).text()).toBe('done');
    expect(await exit).toEqual([null, 'SIGTERM']);
    expect(lines.slice(1)).toEqual([
      'acquired',
      'waiting',
      'rejected closed',
      'released',
      'disconnected',
    ]);
  });

  it('answers the waiters of a microservice before Nest closes its connections', async () => {
    const { child, exit, said } = start('sigterm-microservice');
    const port = Number((await said('port')).slice('port '.length));
    const options = { host: '127.0.0.1', port };
    const client = ClientProxyFactory.create({ transport: Transport.TCP, options });
    const send = () => firstValueFrom(client.send('handle', ''));
    const working = expect(send()).rejects.toThrow('Connection closed');
    await said('acquired');
    const waiting = expect(send()).rejects.toMatchObject({ code: 'SEMAPHORE_CLOSED' });
    await said('waiting');
    child.kill('SIGTERM');
    await waiting;
    await working;
    expect(await exit).toEqual([null, 'SIGTERM']);
    await client.close();
  });
});
