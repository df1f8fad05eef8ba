import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';

const SLOTS = 16_384;
const ATTEMPTS = 5;

/** Server and folder go with this process, however that one ends: the shell waits for its standard input to close. */
const GUARDED = 'redis-server "$@" & pid=$!; read -r line; kill $pid; wait $pid; rm -rf "$0"';

/** Starts a Redis without persistence on a free loopback port. Every contender gets one of its own. */
export async function startRedis(extra = []) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(await freePort(), extra);
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
    }
  }
}

async function start(port, extra) {
  const dir = await mkdtemp(join(tmpdir(), 'nestjs-semaphore-bench-'));
  const options = ['--port', port, '--bind', '127.0.0.1', '--dir', dir, '--save', '', ...extra];
  const args = ['-c', GUARDED, dir, ...options.map(String)];
  const child = spawn('/bin/sh', args, { stdio: ['pipe', 'pipe', 'inherit'], detached: true });
  const exited = once(child, 'exit');
  try {
    await untilReady(child, exited);
  } catch (error) {
    child.stdin.end();
    throw error;
  }
  child.stdout.resume();
  const admin = new Redis(port, '127.0.0.1');
  return {
    port,
    admin,
    stats: () => readStats([admin]),
    keys: () => admin.dbsize(),
    async stop() {
      admin.disconnect();
      child.stdin.end();
      await exited;
    },
  };
}

async function untilReady(child, exited) {
  let output = '';
  const ready = (async () => {
    for await (const text of child.stdout.iterator({ destroyOnReturn: false })) {
      output += text;
      if (output.includes('Ready to accept connections')) return;
    }
  })();
  const failed = exited.then(() => Promise.reject(new Error(`redis-server ended:\n${output}`)));
  const late = delay(10_000, undefined, { ref: false }).then(() =>
    Promise.reject(new Error(`redis-server was not ready in time:\n${output}`)),
  );
  await Promise.race([ready, failed, late]);
  failed.catch(() => {});
  late.catch(() => {});
}

/** Starts a Cluster of masters, each with its share of the slots. */
export async function startCluster(masters) {
  const enabled = ['--cluster-enabled', 'yes', '--cluster-config-file', 'nodes.conf'];
  const nodes = await Promise.all(Array.from({ length: masters }, () => startRedis(enabled)));
  const stop = () => Promise.all(nodes.map((node) => node.stop()));
  try {
    const first = (index) => Math.floor((index * SLOTS) / masters);
    await Promise.all(
      nodes.map(async ({ admin }, index) => {
        await admin.call('CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
        await admin.call('CLUSTER', 'ADDSLOTSRANGE', first(index), first(index + 1) - 1);
      }),
    );
    for (const { admin } of nodes) {
      for (const { port } of nodes) await admin.call('CLUSTER', 'MEET', '127.0.0.1', port);
    }
    await Promise.all(nodes.map(({ admin }) => untilServing(admin, masters)));
  } catch (error) {
    await stop();
    throw error;
  }
  const admins = nodes.map(({ admin }) => admin);
  return {
    ports: nodes.map(({ port }) => port),
    stats: () => readStats(admins),
    keys: async () => sum(await Promise.all(admins.map((admin) => admin.dbsize()))),
    stop,
  };
}

async function untilServing(admin, masters) {
  for (const end = Date.now() + 20_000; Date.now() < end; await delay(50)) {
    const info = String(await admin.call('CLUSTER', 'INFO'));
    const isOk = info.includes('cluster_state:ok') && info.includes(`cluster_slots_ok:${SLOTS}`);
    if (isOk && info.includes(`cluster_known_nodes:${masters}`)) return;
  }
  throw new Error('The Redis Cluster was not ready in time');
}

/** Counters since the start: commands (those inside scripts too), scripts, CPU time; and the memory in use now. */
async function readStats(admins) {
  const infos = await Promise.all(admins.map((admin) => admin.info('all')));
  const total = (pattern) => sum(infos.map((info) => Number(pattern.exec(info)?.[1] ?? 0)));
  return {
    commands: total(/^total_commands_processed:(\d+)/m),
    scripts: total(/^cmdstat_evalsha:calls=(\d+)/m) + total(/^cmdstat_eval:calls=(\d+)/m),
    cpuUs: (total(/^used_cpu_user:([\d.]+)/m) + total(/^used_cpu_sys:([\d.]+)/m)) * 1e6,
    bytes: total(/^used_memory:(\d+)/m),
  };
}

function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}

/** Free together with the port of the Cluster bus, and below the ephemeral range. */
export async function freePort() {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 10_000);
    if ((await canListen(port)) && (await canListen(port + 10_000))) return port;
  }
}

function canListen(port) {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
