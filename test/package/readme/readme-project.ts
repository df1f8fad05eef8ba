import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Consumer, packTarball, temporaryFolder } from '../consumer.js';
import { blocks, root } from './readme.js';

const TSC = join(root, 'node_modules/typescript/bin/tsc');
const TIMEOUT_MS = 30_000;
const COMMONJS = [
  'src/reports.controller.ts',
  'src/app.module.ts',
  'src/main.ts',
  'tsconfig.json',
  'jest.config.cjs',
];
const DEPENDENCIES = [
  '@electric-sql/pglite',
  '@nestjs/common',
  '@nestjs/core',
  '@nestjs/microservices',
  '@nestjs/platform-express',
  '@nestjs/schedule',
  '@types/express',
  'express',
  '@nestjs/terminus',
  '@opentelemetry/api',
  '@opentelemetry/exporter-prometheus',
  '@opentelemetry/sdk-metrics',
  '@opentelemetry/sdk-trace-node',
  '@swc/core',
  '@swc/jest',
  'ioredis',
  'reflect-metadata',
  'rxjs',
];

/**
 * The files of README.md as a reader would have them: typed in, next to the packed tarball. A second folder
 * holds the quick start as a CommonJS application, with its settings for Jest.
 */
export class ReadmeProject implements AsyncDisposable {
  readonly commonJs: string;

  private constructor(
    private readonly consumer: Consumer,
    readonly folder: string,
  ) {
    this.commonJs = join(folder, 'commonjs');
  }

  static async create(): Promise<ReadmeProject> {
    const folder = await temporaryFolder();
    try {
      const consumer = await Consumer.create(await packTarball(folder), {
        type: 'module',
        dependencies: await versionsOf(DEPENDENCIES),
      });
      const project = new ReadmeProject(consumer, join(consumer.folder, 'readme'));
      await project.write();
      return project;
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** What `npx tsc` does in `folder`, with the tsconfig.json of README.md, and with what readers may have set besides. */
  async compile(folder: string): Promise<void> {
    await this.run([TSC, '-p', folder, '--exactOptionalPropertyTypes']);
  }

  /**
   * Runs `node`; kills it, with what it has started, when that takes too long.
   * @returns what it printed, once it has ended with exit code 0
   */
  async run(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
    const { REDIS_URL: _, ...inherited } = process.env;
    const child = spawn(process.execPath, args, {
      cwd: this.folder,
      env: { ...inherited, NO_COLOR: '1', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    }
    const timer = setTimeout(() => {
      output += `\nKilled after ${TIMEOUT_MS} ms`;
      killGroup(child.pid);
    }, TIMEOUT_MS);
    try {
      const [code] = (await once(child, 'close')) as [number | null];
      if (code !== 0) throw new Error(`node ${args.join(' ')} ended with ${code}\n${output}`);
      return output;
    } finally {
      clearTimeout(timer);
      killGroup(child.pid);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.consumer[Symbol.asyncDispose]();
  }

  private async write(): Promise<void> {
    await mkdir(this.commonJs, { recursive: true });
    await writeFile(join(this.folder, 'package.json'), JSON.stringify({ type: 'module' }));
    await writeFile(join(this.commonJs, 'package.json'), JSON.stringify({ type: 'commonjs' }));
    for (const { file, text } of blocks) {
      if (file === undefined) continue;
      await write(join(this.folder, file), text);
      if (COMMONJS.includes(file)) await write(join(this.commonJs, file), text);
    }
    await cp(join(import.meta.dirname, 'work.ts'), join(this.folder, 'src/work.ts'));
    await cp(join(import.meta.dirname, 'checks'), join(this.folder, 'checks'), { recursive: true });
  }
}

function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // All of it has ended.
  }
}

async function write(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
}

/** In the versions that this repository is developed with. */
async function versionsOf(packages: readonly string[]): Promise<string[]> {
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    devDependencies: Record<string, string>;
  };
  return packages.map((name) => {
    const version = manifest.devDependencies[name];
    if (version === undefined) throw new Error(`${name} is no devDependency`);
    return `${name}@${version}`;
  });
}
