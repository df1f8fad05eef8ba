/**
 * Makes sure that what the tests start by themselves is there: redis-server, and where it can be had,
 * libfaketime (tests that shift the server's clock) and Chromium (tests of pages). Nothing is started here,
 * and no system service stays behind: the tests run their own servers on free ports.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const tools = [
  {
    name: 'redis-server',
    apt: 'redis-server',
    service: 'redis-server',
    brew: 'redis',
    required: true,
    found: onPath('redis-server'),
  },
  { name: 'libfaketime', apt: 'faketime', found: hasFakeTime() },
  { name: 'Chromium', apt: 'chromium', found: hasBrowser() },
];

const missing = tools.filter((tool) => !tool.found);
if (missing.length > 0) install(missing);

function install(wanted) {
  if (process.platform === 'darwin')
    return wanted.filter((tool) => tool.brew).forEach(installWithBrew);
  if (!onPath('apt-get')) return wanted.forEach((tool) => report(tool, 'there is no apt-get here'));
  run('apt-get', ['update', '-q']);
  for (const tool of wanted) {
    console.log(`Installing ${tool.name} (apt package ${tool.apt})`);
    const failure = run('apt-get', ['install', '-q', '-y', '--no-install-recommends', tool.apt]);
    if (failure !== undefined) report(tool, failure);
    else if (tool.service !== undefined) disableService(tool.service);
  }
}

/** The package enables a service; under systemd it may even have been started, whatever RUNLEVEL said. */
function disableService(name) {
  if (existsSync('/run/systemd/system')) run('systemctl', ['disable', '--now', name]);
}

function installWithBrew(tool) {
  console.log(`Installing ${tool.name} (Homebrew formula ${tool.brew})`);
  const failure = onPath('brew')
    ? run('brew', ['install', tool.brew])
    : 'there is no Homebrew here';
  if (failure !== undefined) report(tool, failure);
}

/** Returns what went wrong, or undefined. RUNLEVEL=1 keeps Debian's packages from starting their service. */
function run(command, args) {
  const variables = ['DEBIAN_FRONTEND=noninteractive', 'RUNLEVEL=1'];
  const words = ['env', ...variables, command, ...args];
  if (command !== 'brew' && process.getuid?.() !== 0 && onPath('sudo')) words.unshift('sudo', '-n');
  const [program, ...rest] = words;
  const { status, error } = spawnSync(program, rest, {
    stdio: ['ignore', 'ignore', 'inherit'],
    timeout: 300_000,
  });
  if (status === 0) return undefined;
  return `"${command} ${args.join(' ')}" failed (${error?.message ?? `exit code ${status}`})`;
}

function report(tool, reason) {
  if (!tool.required) {
    console.warn(
      `${tool.name} is missing and could not be installed: ${reason}. The tests that need it cannot run.`,
    );
    return;
  }
  console.error(
    `${tool.name} is missing and could not be installed: ${reason}.\n` +
      'Install Redis 7 or newer so that "redis-server" is on the PATH (Debian and Ubuntu: apt-get install ' +
      'redis-server; macOS: brew install redis) and try again. It does not have to be running.',
  );
  process.exitCode = 1;
}

function onPath(name) {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return folders.some((folder) => folder !== '' && existsSync(join(folder, name)));
}

function hasBrowser() {
  return ['chromium', 'chromium-browser', 'google-chrome'].some(onPath);
}

function hasFakeTime() {
  return ['/usr/lib', '/usr/lib64', '/usr/local/lib']
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => [folder, ...readdirSync(folder).map((name) => join(folder, name))])
    .some((folder) => existsSync(join(folder, 'faketime', 'libfaketime.so.1')));
}
