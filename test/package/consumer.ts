import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

export interface ConsumerOptions {
  type: 'module' | 'commonjs';
  /** Besides the package itself, as npm takes them: `ioredis@6`. */
  dependencies: readonly string[];
}

/**
 * Packs the package as it would be published; returns the path of the tarball in `folder`. It is built already: to build it
 * here would write what other tests read.
 */
export async function packTarball(folder: string): Promise<string> {
  await run('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder], root);
  const tarball = (await readdir(folder)).find((name) => name.endsWith('.tgz'));
  if (tarball === undefined) throw new Error('npm pack wrote no tarball');
  return join(folder, tarball);
}

/** Optional peers, of Nest too. */
const NOT_INSTALLED = [
  '@nestjs/websockets',
  '@nestjs/microservices',
  'class-validator',
  'class-transformer',
];

const REQUIRE = `import { createRequire as from } from 'node:module'; const require = from(import.meta.url);`;

const BUNDLES = {
  CommonJS: { file: 'bundle.cjs', flags: ['--format=cjs'] },
  'an ES module': { file: 'bundle.mjs', flags: ['--format=esm', `--banner:js=${REQUIRE}`] },
  /** As webpack makes it: `import.meta.url` is that of each file where the bundle was made. */
  'CommonJS, with addresses of its files': {
    file: 'bundle.cjs',
    flags: ['--format=cjs', '--define:import.meta.url="file:///elsewhere/index.js"'],
  },
};

/** An application in a folder of its own that has the tarball installed, as a user's would. */
export class Consumer implements AsyncDisposable {
  private constructor(readonly folder: string) {}

  static async create(tarball: string, options: ConsumerOptions): Promise<Consumer> {
    const consumer = new Consumer(await temporaryFolder());
    try {
      await consumer.install(tarball, options);
      return consumer;
    } catch (error) {
      await consumer[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Type-checks the application strictly, the libraries' declarations included, and emits JavaScript. */
  async compile(): Promise<void> {
    await this.tsc('--module', 'nodenext', '--outDir', 'dist');
  }

  /** The settings of many older applications: CommonJS output, resolution left to a bundler, the library of ES2021. */
  async typeCheckAsCommonJs(): Promise<void> {
    const module = ['--module', 'commonjs', '--moduleResolution', 'bundler'];
    await this.tsc(...module, '--target', 'es2021', '--noEmit');
  }

  /** Resolves with what the application printed once it has ended by itself with exit code 0. */
  start(env: Record<string, string>): Promise<string> {
    return run(process.execPath, ['dist/main.js'], this.folder, { env, timeoutMs: 20_000 });
  }

  /** As {@link start}, of a module that is given as text. */
  evaluate(code: string): Promise<string> {
    const args = ['--input-type=module', '--eval', code];
    return run(process.execPath, args, this.folder, { timeoutMs: 20_000 });
  }

  /**
   * Makes one file of `bundled.js` and all that it needs, away from what is installed but for OpenTelemetry; resolves with what
   * that prints.
   */
  async startBundle(format: keyof typeof BUNDLES, env: Record<string, string>): Promise<string> {
    const { file, flags } = BUNDLES[format];
    const elsewhere = await temporaryFolder();
    try {
      const telemetry = 'node_modules/@opentelemetry/api';
      await cp(join(root, telemetry), join(elsewhere, telemetry), { recursive: true });
      await this.bundle('bundled.js', ...flags, `--outfile=${join(elsewhere, file)}`);
      return await run(process.execPath, [file], elsewhere, { env, timeoutMs: 20_000 });
    } finally {
      await rm(elsewhere, { recursive: true, force: true });
    }
  }

  /** One file of what a program uses that imports `names` and nothing else. */
  async bundleOf(...names: string[]): Promise<string> {
    const code = `export { ${names.join(', ')} } from 'nestjs-semaphore';`;
    await writeFile(join(this.folder, 'few.js'), code);
    return this.bundle('few.js', '--format=esm');
  }

  installed(): Promise<string[]> {
    return readdir(join(this.folder, 'node_modules'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  private async install(tarball: string, options: ConsumerOptions): Promise<void> {
    const manifest = { name: 'consumer', private: true, type: options.type };
    await writeFile(join(this.folder, 'package.json'), JSON.stringify(manifest));
    await cp(join(import.meta.dirname, 'app'), this.folder, { recursive: true });
    const flags = [
      '--prefer-offline',
      '--strict-peer-deps',
      '--ignore-scripts',
      '--no-package-lock',
    ];
    const packages = [tarball, '@types/node@20', ...options.dependencies];
    await run(
      'npm',
      ['install', '--silent', '--no-audit', '--no-fund', ...flags, ...packages],
      this.folder,
    );
  }

  private bundle(entry: string, ...flags: string[]): Promise<string> {
    const esbuild = join(this.folder, 'node_modules/esbuild/bin/esbuild');
    const optional = NOT_INSTALLED.map((name) => `--external:${name}`);
    const common = ['--bundle', '--platform=node', '--log-level=error'];
    return run(esbuild, [entry, ...common, ...flags, ...optional], this.folder);
  }

  private async tsc(...flags: string[]): Promise<void> {
    const compiler = join(root, 'node_modules/typescript/bin/tsc');
    const checks = ['--strict', '--declaration', '--skipLibCheck', 'false'];
    const common = [...checks, '--target', 'es2022', '--types', 'node'];
    const decorators = ['--experimentalDecorators', '--emitDecoratorMetadata'];
    await run(
      process.execPath,
      [compiler, 'main.ts', ...common, ...decorators, ...flags],
      this.folder,
    );
  }
}

export function temporaryFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'nestjs-semaphore-package-'));
}

/** Runs a program to its end and kills it when that takes too long. */
function run(
  program: string,
  args: readonly string[],
  cwd: string,
  { env = {}, timeoutMs = 120_000 }: { env?: Record<string, string>; timeoutMs?: number } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = {
      cwd,
      env: { ...outerEnvironment(), ...env },
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    } as const;
    execFile(program, args, options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      const reason = error.killed === true ? `did not end within ${timeoutMs} ms` : 'failed';
      reject(new Error(`"${[program, ...args].join(' ')}" ${reason}\n${stdout}${stderr}`));
    });
  });
}

/** Without what npm tells the scripts of this repository: another npm would take it for its own. */
function outerEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env);
  return Object.fromEntries(
    entries.filter(
      ([name]) => !/^(npm_(package|lifecycle|config_local)_|INIT_CWD$|NODE_OPTIONS$)/.test(name),
    ),
  );
}
