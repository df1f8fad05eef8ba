import { expect, test } from '@jest/globals';
import { RemoteCalls } from '../../../lib/client/remote.calls.js';
import { systemClock } from '../../../lib/store/clock.js';
import { MAX_CALLS, type WireCall, type WireReply } from '../../../lib/store/remote/wire.js';

/** What is posted of calls that are made at once, each as operation and key. */
async function postsOf(calls: readonly WireCall[]): Promise<string[][]> {
  const posts: string[][] = [];
  const post = async (toBody: () => string): Promise<WireReply> => {
    const sent = (JSON.parse(toBody()) as { calls: WireCall[] }).calls;
    posts.push(sent.map(({ op, key }) => `${op} ${key}`));
    return { server: 's', now: 0, results: sent.map(() => ({ value: null })) };
  };
  const on = { answered: () => undefined, failed: () => undefined };
  const remote = new RemoteCalls(post, systemClock, 5000, on);
  expect(remote.resume([])).toEqual([]);
  await Promise.all(calls.map((call) => remote.send(call)));
  remote.close();
  return posts;
}

const release = (key: string): WireCall => ({
  op: 'release',
  key,
  id: 'a',
  holdAtLeastMs: 0,
  lastToken: 0,
});
const look = (key: string): WireCall => ({ op: 'look', key, seen: null });
const acquire = (key: string): WireCall => ({
  op: 'acquire',
  key,
  id: 'a',
  permits: 1,
  weight: 1,
  priority: 0,
  leaseMs: 1,
  wait: true,
  maxWaiting: null,
});
const publish = (key: string, length: number, letter = 'v'): WireCall => ({
  op: 'publish',
  key,
  permitId: 'a',
  payload: letter.repeat(length),
  freshMs: 0,
  staleMs: 0,
});

test('calls that are too long together are posted one after another', async () => {
  const calls = [publish('a', 30_000), publish('b', 30_000), release('c')];
  expect(await postsOf(calls)).toEqual([['publish a'], ['publish b', 'release c']]);
  // In bytes: a letter may take three of them.
  const wide = ['a', 'b'].map((key) => publish(key, 10_000, '語'));
  expect(await postsOf(wide)).toEqual([['publish a'], ['publish b']]);
});

test('a result and the release of its permit are one post, also where it is full', async () => {
  const full = Array.from({ length: MAX_CALLS - 1 }, (_, index) => release(`${index}`));
  const [together, after] = await postsOf([...full, publish('a', 10), release('a'), release('b')]);
  expect(together?.slice(-2)).toEqual(['publish a', 'release a']);
  expect(after).toEqual(['release b']);
});

test('a look and the acquire of the same key are one post, also where it is full', async () => {
  const full = Array.from({ length: MAX_CALLS - 1 }, (_, index) => release(`${index}`));
  const [together, after] = await postsOf([...full, look('a'), acquire('a'), look('b')]);
  expect(together).toHaveLength(MAX_CALLS + 1);
  expect(together?.slice(-2)).toEqual(['look a', 'acquire a']);
  expect(after).toEqual(['look b']);
});

test('calls of other keys are no reason for a longer post', async () => {
  const full = Array.from({ length: MAX_CALLS - 1 }, (_, index) => release(`${index}`));
  const [together, after] = await postsOf([...full, look('a'), acquire('b')]);
  expect(together).toHaveLength(MAX_CALLS);
  expect(after).toEqual(['acquire b']);
});

test('every attempt has a number of its own, also one that the connection asks for again', async () => {
  const bodies: { attempt: number; calls: WireCall[] }[] = [];
  const post = async (toBody: () => string): Promise<WireReply> => {
    const times = bodies.length === 0 ? 2 : 1;
    for (let i = 0; i < times; i++) bodies.push(JSON.parse(toBody()));
    return { server: 's', now: 0, results: [{ value: 'expired' }] };
  };
  const on = { answered: () => undefined, failed: () => undefined };
  const remote = new RemoteCalls(post, systemClock, 5000, on);
  expect(remote.resume([])).toEqual([]);
  expect(await remote.send(release('a'))).toMatchObject({ isRepeated: true });
  expect(await remote.send(release('b'))).toMatchObject({ isRepeated: false });
  remote.close();
  expect(bodies.map(({ attempt, calls }) => `${attempt} ${calls[0]?.key}`)).toEqual([
    '1 a',
    '2 a',
    '3 b',
  ]);
});
