import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { exec } from 'node:child_process';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SemaphoreService } from 'nestjs-semaphore';
import { ExitCode } from '../../../lib/cli/exit-codes.js';
import { resolveRemoteOptions } from '../../../lib/client/remote.options.js';
import { Cli } from '../../support/cli.js';
import { LockServer } from '../../support/lock-server.js';
import { pollUntil } from '../../support/redis-admin.js';
import { useRedis } from '../../support/redis-server.js';
import { blocksOf, code, root, table } from './readme.js';

interface Step {
  command: string;
  output: string;
}

/** What is typed, and what follows until the next prompt. */
function stepsOf(transcript: string): Step[] {
  const parts = transcript.split(/^\$ /m).slice(1);
  return parts.map((part) => {
    const [command = '', ...lines] = part.trimEnd().split('\n');
    return { command, output: lines.join('\n') };
  });
}

/** Without what is different each time: ids, clients, times, tokens, and the widths that follow from them. */
function alike(output: string): string {
  return output
    .replace(/\b\d{16}\b/g, 'TOKEN')
    .replace(/^([\w-]{12,16})(?=  )/gm, 'ID')
    .replace(/(?<=^Released )[\w-]+/gm, 'ID')
    .replace(/[\w.-]+:\d+:[\w-]+/g, 'CLIENT')
    .replace(/\b\d+s\b/g, 'TIME')
    .replace(/ +/g, ' ')
    .trim();
}

const redis = useRedis();

describe('the shell in README.md', () => {
  let semaphores: SemaphoreService;
  let bin: string;

  beforeAll(async () => {
    semaphores = new SemaphoreService({ redis: redis.url, log: 'none' });
    bin = await mkdtemp(join(tmpdir(), 'semaphore-bin-'));
    await symlink(join(root, 'dist/cli/main.js'), join(bin, 'nestjs-semaphore'));
  });

  afterAll(async () => {
    await semaphores.close();
    await rm(bin, { recursive: true });
  });

  function type(command: string): Promise<{ exitCode: number; output: string }> {
    const own = command.replace(/^npx nestjs-semaphore/, `node ${bin}/nestjs-semaphore`);
    const env = { ...process.env, REDIS_URL: redis.url, NO_COLOR: '1' };
    return new Promise((resolve) => {
      const child = exec(`${own} 2>&1`, { cwd: bin, env }, (_, stdout) =>
        resolve({ exitCode: child.exitCode ?? 0, output: stdout }),
      );
    });
  }

  const holder = async (): Promise<string | undefined> =>
    (await semaphores.inspect('nightly')).holders[0]?.id;

  it('says what the transcript shows', async () => {
    const [transcript = '', ...others] = blocksOf('console');
    expect(others).toEqual([]);
    const steps = stepsOf(transcript);
    expect(steps.length).toBeGreaterThan(8);
    let lastCode = 0;
    let background: Cli | undefined;
    try {
      for (const { command, output } of steps) {
        if (command.startsWith('export ')) continue;
        if (command.endsWith('&')) {
          const line = command.replace(/^npx nestjs-semaphore | > .*$/g, '');
          background = new Cli(line.split(' '), { env: { REDIS_URL: redis.url } });
          await pollUntil('it holds', async () => (await holder()) !== undefined);
          continue;
        }
        const id = /^npx nestjs-semaphore release \S+ (\S+)$/.exec(command)?.[1];
        const known = command.replace('$?', String(lastCode));
        const typed = await type(
          id === undefined ? known : known.replace(id, (await holder()) ?? ''),
        );
        lastCode = typed.exitCode;
        expect(`$ ${command}\n${alike(typed.output)}`).toBe(`$ ${command}\n${alike(output)}`);
        if (id !== undefined) expect((await background?.exited)?.code).toBe(ExitCode.lost);
      }
    } finally {
      await background?.kill();
    }
  }, 120_000);

  it('asks the lock server as the lines for curl do', async () => {
    const shopKey = 'shop-key-0123456789';
    const apiKeys = [{ key: shopKey, prefixes: ['shop:'] }];
    await using server = await LockServer.start(semaphores, { apiKeys });
    const curl = `exec node ${join(root, 'test/support/curl.mjs')} "$@"`;
    await writeFile(join(bin, 'curl'), `#!/bin/sh\n${curl}\n`, { mode: 0o755 });
    const [lines = '', ...others] = blocksOf('sh');
    expect(others).toEqual([]);
    const [take = '', giveBack = ''] = lines.split(/^#.*\n/m).slice(1);
    const ask = async (command: string): Promise<{ id?: string }> => {
      const here = command.replace('localhost:3000/locks', server.url.replace('http://', ''));
      const { output } = await type(`export PATH=${bin}:$PATH SHOP_KEY=${shopKey}; ${here.trim()}`);
      return JSON.parse(output) as { id?: string };
    };

    const permit = await ask(take);

    expect(permit).toMatchObject({ key: 'shop:import', leaseMs: 60_000 });
    const snapshot = await semaphores.inspect('shop:import');
    expect(snapshot).toMatchObject({ permits: 2, held: 1, holders: [{ id: permit.id }] });
    expect(await ask(giveBack.replace('/ID ', `/${permit.id} `))).toEqual({ outcome: 'released' });
  });

  it('lists the exit codes', () => {
    const rows = table('## Exit codes');
    const documented = rows.map((row) => [code(row['name']), Number(code(row['exit code']))]);
    expect(Object.fromEntries(documented)).toEqual(ExitCode);
  });

  it('lists the commands', async () => {
    const { stdout } = await Cli.run(['--help']);
    const rows = table('## From the shell').map((row) => code(row['command'])?.split(' ')[0]);
    for (const name of rows) expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'));
    expect(rows).toHaveLength(6);
  });

  it("lists the client's options with their defaults", () => {
    const rows = table('## The client');
    const known = resolveRemoteOptions({ url: 'http://x' });
    const defaults = { storeTimeoutMs: known.timeoutMs, graceMs: known.graceMs };
    expect(new Set(rows.map((row) => code(row['option'])))).toEqual(
      new Set(['url', 'apiKey', 'storeTimeoutMs', 'graceMs', 'tls']),
    );
    for (const [name, value] of Object.entries(defaults)) {
      const row = rows.find(({ option }) => code(option) === name);
      expect(Number(code(row?.['default']))).toBe(value);
    }
  });
});
