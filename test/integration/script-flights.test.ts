import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { inspectScript } from '../../lib/store/redis/scripts/embedded.js';
import { ScriptWays, WITH, WITHOUT } from '../support/script-ways.js';
import { CLOCK, replaced, timedScript } from '../support/timed-script.js';

// The script does what single flights do most by short ways of their own: here all is done with them, and without.
const CLIENTS = ['one', 'two', 'three'];
const NO_LIMIT = String(Number.MAX_SAFE_INTEGER);
/** A mark that makes void has the last place of the queue, which need not be known while nobody waits. */
const PLACE = /!\d+/;

let ways: ScriptWays;

beforeAll(async () => {
  const long = replaced(
    replaced(timedScript, 'elseif code == 83 or code == 87 then', 'elseif false then'),
    'elseif code == 67 then',
    'elseif false then',
  );
  ways = await ScriptWays.start(long);
});

afterAll(() => ways[Symbol.asyncDispose]());

/** An operation's text, and its payload. */
type Operation = [text: string] | [text: string, payload: string];

interface Call {
  client: string;
  /** The clock moves on before it by so many microseconds. */
  after: number;
  operations: Operation[];
}

const id = fc.constantFrom('id0', 'id1', 'id2');
const lease = fc.constantFrom('10000', '10000', '10000', '500', '-');
const seen = fc.constantFrom('0', NO_LIMIT);
const times = fc.constantFrom('0 0', '0 0', '0 500', '1000 0', '1000 20000');
const payload = fc.constantFrom('v1', 'v2', `v${'x'.repeat(300)}`);

const acquire = fc
  .tuple(lease, id)
  .map(([leaseMs, one]): Operation => [`A1,1,${leaseMs},-1,0 1${one}`]);
const look = seen.map((token): Operation => [`S${token}`]);
const release = id.map((one): Operation => [`R${one}`]);
/** Of a leader, and the release of its permit. */
const publish = fc
  .tuple(id, times, payload)
  .map(([one, kept, text]): [Operation, Operation] => [[`W${one} ${kept}`, text], [`R${one}`]]);
const publishAlone = publish.map(([published]) => published);
const leave = fc
  .tuple(id, fc.constantFrom(...CLIENTS), lease)
  .map(([one, client, leaseMs]): Operation => [`C${one} ${one} ${client} 1 ${leaseMs} 0 `]);
const other = fc.oneof(
  fc.constantFrom<Operation>(['X'], ['P0'], ['L1'], ['L']),
  id.map((one): Operation => [`F${one}`]),
  id.map((one): Operation => [`N${one} 10000`]),
  id.map((one): Operation => [`R${one} 300 0`]),
);

/** What travels together. */
const step = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(look, acquire) },
  { weight: 8, arbitrary: publish },
  { weight: 2, arbitrary: fc.tuple(publishAlone, release) },
  { weight: 4, arbitrary: fc.tuple(fc.oneof(acquire, release, leave, look, publishAlone)) },
  { weight: 2, arbitrary: fc.tuple(other) },
);

const series = fc.array(
  fc.record({
    client: fc.constantFrom(...CLIENTS),
    after: fc.constantFrom(100, 100, 1000, 50_000, 2_500_000, 11_000_000),
    operations: fc.array(step, { minLength: 1, maxLength: 2 }).map((steps) => steps.flat()),
  }),
  { minLength: 20, maxLength: 60 },
);

/** What a call answered, what is known then of the flight, and what other processes were told. */
async function made(prefix: string, { client, operations }: Call): Promise<unknown> {
  const K = `${prefix}:{k}`;
  const [H, Q, R] = [`${K}:h`, `${K}:q`, `${K}:r`];
  const keys = operations.flatMap(([text]) => [K, /^[SWX]/.test(text) ? R : H, Q]);
  const args = [prefix, client, NO_LIMIT, '0', ...operations.flat()];
  const reply = await ways.call(prefix, keys, args);
  const [[, limit, holders, waiters], result] = await Promise.all([
    ways.redis.eval(inspectScript, 3, K, H, Q, '-inf', '0', 500) as Promise<unknown[]>,
    ways.redis.get(R),
  ]);
  const heard = await ways.heard();
  const messages = heard
    .map(({ channel, text }) => `${channel} ${text}`)
    .filter((text) => !text.includes(' ?'))
    .map((text) => text.replaceAll(prefix, ''));
  const answers = Array.isArray(reply) ? reply.map(certainOf) : reply;
  const known = { answers, limit, holders, waiters, result, messages: messages.toSorted() };
  return JSON.parse(JSON.stringify(known).replaceAll(new RegExp(PLACE, 'g'), '!'));
}

/** Without the end of a lease that comes next, which may be told too early: whoever wakes asks again. */
function certainOf(answer: unknown): unknown {
  const hasEnd = Array.isArray(answer) && [1, 3, 4].includes(answer.length);
  return hasEnd && typeof answer.at(-1) === 'number' ? answer.slice(0, -1) : answer;
}

test('what is done by a short way of single flights is what would be done without it', async () => {
  await fc.assert(
    fc.asyncProperty(series, async (calls) => {
      await ways.redis.flushdb();
      // Ahead of the server's own clock, by which nothing may expire meanwhile.
      let micros = (Date.now() + 7_200_000) * 1000;
      for (const call of calls) {
        micros += call.after;
        await ways.redis.set(CLOCK, micros);
        expect(await made(WITH, call)).toEqual(await made(WITHOUT, call));
      }
    }),
    { numRuns: process.env['SEMAPHORE_LONG'] === '1' ? 400 : 40, endOnFailure: true },
  );
}, 300_000);
