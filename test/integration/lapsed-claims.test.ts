import { beforeEach, expect, test } from '@jest/globals';
import { useRedis } from '../support/redis-server.js';
import { CLOCK, timedScript } from '../support/timed-script.js';

// Leases of many holders are ended together, within 100 ms. Here calls come in between.
const K = 'p:{k}';
const H = `${K}:h`;
const Q = `${K}:q`;
/** More than are kept in one place. */
const MANY = 40;
const CLAIM_MS = 2000;

const server = useRedis();
/** Runs as the tests say, from now on: Redis itself ends keys by its own clock. */
let micros: number;

function pass(ms: number): void {
  micros += ms * 1000;
}

/** The answer to one operation. */
async function call(client: string, ...operation: string[]): Promise<unknown> {
  await server.admin.set(CLOCK, micros);
  const notAfter = micros / 1000 + 5000;
  const args = [K, H, Q, 'p', client, notAfter, 0, ...operation];
  const reply = await server.admin.eval(timedScript, 3, ...args.map(String));
  return Array.isArray(reply) ? reply[1] : reply;
}

const acquire = (client: string, id: string, leaseMs = 60_000, room = -1): Promise<unknown> =>
  call(client, `A${MANY},1,${leaseMs},${room},0 1${id}`);

/** Somebody ends what is over. */
const look = (): Promise<unknown> => acquire('passer-by', 'look', 60_000, -2);

async function inQueue(): Promise<string[]> {
  return (await server.admin.zrange(Q, 0, '-1')).map((member) => member.split(' ', 1)[0] as string);
}

beforeEach(async () => {
  await server.admin.flushall();
  micros = Date.now() * 1000;
  for (let i = 2; i < MANY; i++) await acquire('holder', `h${i}`);
});

test('a process that claims too late loses no place of its other waiters', async () => {
  await acquire('holder', 'long');
  await acquire('holder', 'short', CLAIM_MS - 50);
  const scores = new Map<string, string>();
  for (const id of ['first', 'second', 'third']) {
    const [, , score] = (await acquire('slow', id)) as unknown[];
    scores.set(id, String(score));
  }
  await call('holder', 'Rlong');
  pass(CLAIM_MS - 50);
  await look();
  pass(60);
  const asked = [...scores].flatMap(([id, score]) => [`${id} slow 1 60000 0 `, score, `${MANY}`]);
  await call('slow', `P${scores.size}`, ...asked);
  expect(await inQueue()).toEqual(['third']);
});

test('nothing is taken by force from who does not hold any more', async () => {
  await acquire('holder', 'short', 1000);
  await acquire('holder', 'shorter', 950);
  pass(950);
  await look();
  pass(60);
  expect(await call('admin', 'Fshort')).toBe(0);
});
