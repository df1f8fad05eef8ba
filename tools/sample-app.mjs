/**
 * Builds the library, installs the sample app with it, builds the app and starts it: `npm run sample`.
 * What is up to date is left alone. With `--prepare` the app is not started; several may prepare at once.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const app = join(root, 'sample-app');
const installed = join(app, 'node_modules', 'nestjs-semaphore');
const lock = join(app, '.preparing');

await takeLock();
try {
  prepare();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  rmSync(lock, { force: true });
}
if (process.exitCode !== 1 && !process.argv.includes('--prepare')) start();

function prepare() {
  const librarySources = [
    ...files(join(root, 'lib')).filter((file) => basename(file) !== 'embedded.ts'),
    join(root, 'tsconfig.json'),
    join(root, 'tsconfig.build.json'),
  ];
  if (newest(librarySources) > newest(files(join(root, 'dist')))) npm(root, 'run', 'build');

  if (!isInstalled()) npm(app, 'ci');

  const appSources = [
    ...files(join(app, 'src')),
    join(app, 'tsconfig.json'),
    join(app, 'node_modules', '.package-lock.json'),
  ];
  if (newest(appSources) > newest(files(join(app, 'dist')))) npm(app, 'run', 'build');
}

/** The app has a copy of the library, as a user's app has: it is stale when it differs. */
function isInstalled() {
  const stamp = join(app, 'node_modules', '.package-lock.json');
  const lists = [join(app, 'package.json'), join(app, 'package-lock.json')];
  if (!existsSync(stamp) || newest(lists) > newest([stamp])) return false;
  const built = files(join(root, 'dist'));
  const copied = files(join(installed, 'dist'));
  return (
    built.length === copied.length &&
    built.every((file) => {
      const copy = join(installed, file.slice(root.length));
      return existsSync(copy) && readFileSync(file).equals(readFileSync(copy));
    })
  );
}

function start() {
  const child = spawn(process.execPath, [join(app, 'dist', 'main.js')], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code) => {
    process.exitCode = code ?? 1;
  });
}

function npm(folder, ...args) {
  const { status, error } = spawnSync('npm', args, {
    cwd: folder,
    stdio: ['ignore', 'inherit', 'inherit'],
    shell: process.platform === 'win32',
  });
  if (status === 0) return;
  throw new Error(`"npm ${args.join(' ')}" failed in ${folder}: ${error?.message ?? status}`);
}

function files(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

function newest(paths) {
  return Math.max(0, ...paths.map((path) => statSync(path).mtimeMs));
}

async function takeLock() {
  for (;;) {
    try {
      writeFileSync(lock, `${process.pid}`, { flag: 'wx' });
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    if (isAbandoned()) rmSync(lock, { force: true });
    else await delay(100);
  }
}

function isAbandoned() {
  try {
    const pid = Number(readFileSync(lock, 'utf8'));
    if (pid > 0) process.kill(pid, 0);
    return false;
  } catch (error) {
    return error.code === 'ESRCH';
  }
}
