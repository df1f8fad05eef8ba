import { Redis } from 'ioredis';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

// Two instances of the quick start, as `node dist/main.js` starts them; on Redis they share the limit.
const [, , folder] = process.argv;
const redisUrl = process.env.REDIS_URL;
const LIMIT = 3;

class Instance {
  static async start() {
    const instance = new Instance(await freePort());
    try {
      await instance.isUp();
      return instance;
    } catch (error) {
      instance.child.kill('SIGKILL');
      throw error;
    }
  }

  constructor(port) {
    this.url = `http://127.0.0.1:${port}`;
    const env = { ...process.env, PORT: String(port) };
    this.child = spawn(process.execPath, ['dist/main.js'], { cwd: folder, env, stdio: 'inherit' });
    this.ended = once(this.child, 'exit');
  }

  async isUp() {
    const end = performance.now() + 15_000;
    while ((await fetch(this.url).catch(() => undefined))?.status !== 404) {
      assert.ok(performance.now() < end && this.child.exitCode === null, 'the application starts');
      await delay(20);
    }
  }

  async create() {
    const response = await fetch(`${this.url}/reports`);
    assert.equal(response.status, 200);
    return response.json();
  }
}

const started = await Promise.allSettled([Instance.start(), Instance.start()]);
const instances = started.filter(({ value }) => value).map(({ value }) => value);
try {
  for (const { status, reason } of started) if (status === 'rejected') throw reason;
  const served = await Promise.all(
    instances.map((one) => Promise.all([1, 2, 3, 4, 5].map(() => one.create()))),
  );
  const groups = redisUrl === undefined ? served : [served.flat()];
  for (const reports of groups) assert.equal(atOnce(reports), LIMIT);
  if (redisUrl !== undefined) {
    const redis = new Redis(redisUrl);
    const keys = await redis.keys('*');
    assert.ok(keys.length > 0);
    for (const key of keys) assert.match(key, /^semaphore:\{ReportsController\.create\}/);
    redis.disconnect();
  }

  // SIGTERM: the request in flight is answered, then the process ends by itself.
  const [{ child, ended }] = instances;
  const last = instances[0].create();
  await delay(150);
  child.kill('SIGTERM');
  assert.ok((await last).endedAt);
  const [code, signal] = await ended;
  assert.ok(code === 0 || signal === 'SIGTERM', `${code} ${signal}`);
} finally {
  for (const { child } of instances) child.kill('SIGKILL');
  await Promise.all(instances.map(({ ended }) => ended));
}

/** The greatest number of reports that were in the making at one moment. */
function atOnce(reports) {
  const counts = reports.map(
    ({ startedAt }) =>
      reports.filter((other) => other.startedAt <= startedAt && startedAt < other.endedAt).length,
  );
  return Math.max(...counts);
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
