import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const bench = fileURLToPath(new URL('..', import.meta.url));
const root = join(bench, '..');
const dist = join(root, 'dist');
const installed = join(bench, 'node_modules', 'nestjs-semaphore', 'dist');

/** Builds the library if there is no build, installs the peers if they are missing, and takes over the newest build. */
export function prepare() {
  if (!existsSync(join(dist, 'index.js'))) npm(root, 'run', 'build');
  if (newest(sources()) > newest(files(dist))) {
    console.warn(
      'lib/ is newer than dist/: what is measured is the older build. See "npm run build".',
    );
  }
  if (!hasPeers()) npm(bench, 'ci');
  if (isSame(files(dist), files(installed))) return;
  rmSync(installed, { recursive: true, force: true });
  cpSync(dist, installed, { recursive: true });
}

function hasPeers() {
  const stamp = join(bench, 'node_modules', '.package-lock.json');
  const lists = [join(bench, 'package.json'), join(bench, 'package-lock.json')];
  return existsSync(stamp) && newest(lists) <= newest([stamp]);
}

function isSame(built, copied) {
  const copyOf = (file) => join(installed, file.slice(dist.length));
  return (
    built.length === copied.length &&
    built.every(
      (file) => existsSync(copyOf(file)) && readFileSync(file).equals(readFileSync(copyOf(file))),
    )
  );
}

function sources() {
  const testing = join(root, 'lib', 'testing');
  return files(join(root, 'lib')).filter(
    (file) => basename(file) !== 'embedded.ts' && !file.startsWith(testing),
  );
}

function npm(folder, ...args) {
  const { status, error } = spawnSync('npm', args, { cwd: folder, stdio: 'inherit' });
  if (status === 0) return;
  throw new Error(`"npm ${args.join(' ')}" failed: ${error?.message ?? status}`);
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
