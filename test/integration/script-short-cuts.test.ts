import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ENDLESS, FULL, inspectScript } from '../../lib/store/redis/scripts/embedded.js';
import { ScriptWays, WITH, WITHOUT } from '../support/script-ways.js';
import { CLOCK, replaced, timedScript } from '../support/timed-script.js';

// The script does what happens most by short ways of their own. Here all calls are made twice: with them, and without.
const SIGN_MICROS = 1_500_000;
const REMEMBERED_MICROS = 58_000_000;
/** What says that its client is alive. */
const TELLS_LIFE = /^A\S+ 1/;
const KEYS: [string, string] = ['k', 'l'];
/** As Redis tells how long a key lives. */
const [IS_NONE, ENDS_NEVER] = [-2, -1];
const NO_LIMIT = String(Number.MAX_SAFE_INTEGER);

let ways: ScriptWays;

beforeAll(async () => {
  const long = replaced(
    replaced(
      timedScript,
      'if not open then\nif code == 65 then',
      'if false then\nif code == 65 then',
    ),
    'if not answer and (open or',
    'if false and (open or',
  );
  ways = await ScriptWays.start(long);
});

afterAll(() => ways[Symbol.asyncDispose]());

interface Call {
  client: string;
  /** The clock moves on before it by so many microseconds. */
  after: number;
  operations: [key: string, text: string][];
}

interface Kept {
  limit: number;
  holders: unknown[][];
  waiters: string[];
}

/** What a call answered, what is known then of its semaphores, and what other processes were told. */
interface Made {
  answers: unknown[];
  known: Kept[];
  grants: string[];
}

const often = <T>(most: T, ...others: T[]): fc.Arbitrary<T> =>
  fc.oneof(
    { arbitrary: fc.constant(most), weight: 2 + others.length },
    { arbitrary: fc.constantFrom(...others), weight: others.length },
  );

const id = fc.integer({ min: 0, max: 11 }).map((n) => `id${n}`);

const operation = (limit: number): fc.Arbitrary<string> =>
  fc.oneof(
    {
      weight: 10,
      arbitrary: fc
        .record({
          permits: often(limit, limit, limit, 2),
          weight: often(1, 1, 1, 2, 3),
          lease: often('30000', '30000', '500', '7.5', '-'),
          room: often('-1', '-1', '-2', '0', '2', '5'),
          told: often(0, 1),
          priority: often(0, 1, -3),
          id,
          label: often('', '=a label', '=a=b'),
        })
        .map(
          (a) =>
            `A${a.permits},${a.weight},${a.lease},${a.room},${a.priority} ${a.told}${a.id}${a.label}`,
        ),
    },
    { weight: 10, arbitrary: id.map((one) => `R${one}`) },
    { weight: 1, arbitrary: id.map((one) => `R${one} 300 0`) },
    {
      weight: 3,
      arbitrary: fc
        .tuple(id, often('30000', '500', '7.5', '-'))
        .map(([one, lease]) => `N${one} ${lease}`),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(id, often('', 'one 1 30000 0 ', 'two 1 30000 0 '))
        .map(([one, waiter]) => (waiter === '' ? `C${one} ` : `C${one} ${one} ${waiter}`)),
    },
    { weight: 1, arbitrary: fc.constantFrom('P0', 'L3', 'L') },
  );

const call = (limit: number): fc.Arbitrary<Call> =>
  fc.record({
    client: often('one', 'two', 'host:12:three'),
    after: often(100, 100, 100, 100, 1000, 1000, 0, 1, 50_000, 2_500_000, 35_000_000, -5_000_000),
    operations: fc.array(fc.tuple(often(...KEYS), operation(limit)), {
      minLength: 1,
      maxLength: 6,
    }),
  });

const series = fc
  .constantFrom(1, 2, 3, 10)
  .chain((limit) => fc.array(call(limit), { minLength: 20, maxLength: 60 }));

/**
 * Clients say that they are alive unless they wait, and said so a short time ago. Nobody is silent for so long that signs of
 * life are forgotten: when that is noticed depends on the end of a lease that may be known too early.
 */
class Clients {
  private readonly signs = new Map<string, number>();
  private passed = 0;
  private micros = 0;

  /** @returns the call, as a client in this state would make it */
  honest({ client, after, operations }: Call): Call {
    const isLate = this.passed + after >= REMEMBERED_MICROS;
    const step = isLate ? 1 : after;
    this.passed += step;
    this.micros += step;
    const told = operations.map(([key, text]): [string, string] => {
      if (this.isKnownAlive(key, client)) return [key, text];
      return [key, text.replace(/(?<=^A\S+ )0/, '1')];
    });
    return { client, after: step, operations: told };
  }

  private isKnownAlive(key: string, client: string): boolean {
    const at = this.signs.get(`${key} ${client}`);
    return at !== undefined && at <= this.micros && this.micros - at <= SIGN_MICROS;
  }

  /** @param isWaiting whether the client waits for the key after the call */
  note(
    { client, operations }: Call,
    answers: unknown[],
    isWaiting: (key: string, client: string) => boolean,
  ): void {
    for (const [i, [key, text]] of operations.entries()) {
      const answer = answers[i];
      const isQueued = Array.isArray(answer) && answer[0] === 0;
      if (isQueued && TELLS_LIFE.test(text)) this.signs.set(`${key} ${client}`, this.micros);
    }
    for (const name of this.signs.keys()) {
      const [key, other] = name.split(' ') as [string, string];
      if (!isWaiting(key, other)) this.signs.delete(name);
    }
  }
}

/**
 * What is kept of one semaphore; what contradicts itself in it comes to light.
 *
 * @param byTime whether places in the queue are those of the time; otherwise only their order counts.
 */
async function state(names: readonly string[], byTime: boolean): Promise<Kept> {
  const [K, H, Q] = names as [string, string, string];
  const page = await ways.redis.eval(inspectScript, 3, K, H, Q, '-inf', '0', 500);
  const [, limit, fields, waiters] = page as [number, number, unknown[], string[]];
  const holders = inRows(fields, 7);
  const [text, ...lives] = await Promise.all([
    ways.redis.getBuffer(K),
    ...[K, H, Q].map((name) => ways.redis.pttl(name)),
  ]);
  const [lifeK, lifeH, lifeQ] = lives.map((life) => (life === ENDS_NEVER ? Infinity : life));
  const ends = holders.map((holder) => Number(holder[1]));
  const weights = holders.map((holder) => Number(holder[2]));
  if (text?.[0] === FULL) {
    const [used, next, until] = [wholeAt(text, 15), wholeAt(text, 33), wholeAt(text, 40)];
    const kept = until === ENDLESS ? Infinity : until - Date.now();
    expect(used).toBe(weights.reduce((sum, weight) => sum + weight, 0));
    expect(text.readUInt32LE(29)).toBe(waiters.length / 2);
    expect(next).toBeLessThanOrEqual(Math.min(ENDLESS, ...ends));
    expect(until).toBeGreaterThanOrEqual(Math.max(0, ...ends));
    expect(lifeK === kept || Math.abs(Number(lifeK) - kept) < 5000).toBe(true);
    expect(lifeH === IS_NONE || lifeH === kept || Math.abs(Number(lifeH) - kept) < 5000).toBe(true);
  } else {
    expect([lifeH, waiters]).toEqual([IS_NONE, []]);
  }
  if (waiters.length > 0) expect(lifeQ).toBeLessThan(Infinity);
  return { limit, holders, waiters: byTime ? waiters : waiters.filter((_, i) => i % 2 === 0) };
}

/** As the script packs whole numbers: in seven bytes. */
function wholeAt(text: Buffer, at: number): number {
  return Number(text.readBigUInt64LE(at) & 0xffffffffffffffn);
}

async function made(prefix: string, { client, operations }: Call, byTime: boolean): Promise<Made> {
  const names = (key: string): string[] =>
    ['', ':h', ':q'].map((end) => `${prefix}:{${key}}${end}`);
  const keys = operations.flatMap(([key]) => names(key));
  const texts = operations.map(([, text]) => text);
  const args = [prefix, client, NO_LIMIT, '0', ...texts];
  const reply = (await ways.call(prefix, keys, args)) as number | unknown[];
  const known = await Promise.all(KEYS.map((key) => state(names(key), byTime)));
  const messages = await ways.heard();
  // A lease that ends earlier may be told, and heard of, before that is necessary.
  const grants = messages
    .flatMap(({ channel, text }) => text.split(',').map((one) => `${channel} ${one}`))
    .filter((text) => !text.includes(' ?'))
    .map((text) => text.replace(prefix, ''));
  return { answers: answersOf(reply, texts, byTime), known, grants: grants.toSorted() };
}

function answersOf(reply: number | unknown[], texts: string[], byTime: boolean): unknown[] {
  if (typeof reply === 'number')
    return [...texts.map((text) => (text.startsWith('A') ? reply : 1)), []];
  const own = inRows(reply.at(-1) as unknown[], 5);
  return [...reply.slice(1, -1).map((answer) => certainOf(answer, byTime)), own];
}

/** The next end of a lease may be told too early: whoever wakes asks again. */
function certainOf(answer: unknown, byTime: boolean): unknown {
  if (!Array.isArray(answer) || answer[0] === 1) return answer;
  const isPlaced = answer[0] === 0 && !byTime;
  return answer.slice(0, isPlaced ? 2 : -1);
}

/** By all that is in a row, beginning with the id. */
function inRows(fields: unknown[], length: number): unknown[][] {
  const rows: unknown[][] = [];
  for (let i = 0; i < fields.length; i += length) rows.push(fields.slice(i, i + length));
  return rows.toSorted((a, b) => (String(a) < String(b) ? -1 : 1));
}

test('what is done by a short way is what would be done without it', async () => {
  await fc.assert(
    fc.asyncProperty(series, async (calls) => {
      await ways.redis.flushdb();
      // Ahead of the server's own clock, by which nothing may expire meanwhile.
      let micros = (Date.now() + 7_200_000) * 1000;
      let byTime = true;
      const clients = new Clients();
      for (const planned of calls) {
        const one = clients.honest(planned);
        micros += one.after;
        // The last place of a queue that is empty need not be known: only a clock that was set back tells.
        byTime &&= one.after >= 0;
        await ways.redis.set(CLOCK, micros);
        const short = await made(WITH, one, byTime);
        expect(short).toEqual(await made(WITHOUT, one, byTime));
        clients.note(one, short.answers, (key, client) =>
          short.known[KEYS.indexOf(key)]!.waiters.some((waiter) => waiter.split(' ')[1] === client),
        );
      }
    }),
    { numRuns: process.env['SEMAPHORE_LONG'] === '1' ? 400 : 80, endOnFailure: true },
  );
}, 300_000);
