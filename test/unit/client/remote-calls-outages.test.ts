import { expect, test } from '@jest/globals';
import { StoreUnavailableError } from 'nestjs-semaphore';
import { VirtualClock } from 'nestjs-semaphore/testing';
import { RequestError } from '../../../lib/client/http-request.js';
import { type Answer, RemoteCalls, type Sample } from '../../../lib/client/remote.calls.js';
import type { WireCall, WireReply, WireResult } from '../../../lib/store/remote/wire.js';
import { rejection } from '../../support/semaphores.js';

const TIMEOUT_MS = 1000;
const inspect = (key: string): WireCall => ({ op: 'inspect', key });
const lost = new RequestError('lost');
const nothingDone = new RequestError('away', { nothingDone: true });
const refused = new RequestError('refused', { isRefusal: true, nothingDone: true });

/** Calls to a server that does what a test says. */
class Line {
  readonly clock = new VirtualClock();
  readonly posts: string[] = [];
  readonly samples: Sample[] = [];
  readonly failures: Error[] = [];
  /** How each POST ends, in their order; those that have no end are answered at once. */
  ends: Promise<void>[] = [];
  result: WireResult = { value: null };
  readonly calls = new RemoteCalls((body) => this.post(body), this.clock, TIMEOUT_MS, {
    answered: (sample) => this.samples.push(sample),
    failed: (error) => this.failures.push(error),
  });

  /** The calls of the next POST end so. */
  nextEnds(): { succeed: () => void; fail: (error: Error) => void } {
    let settle = { succeed: (): void => undefined, fail: (_: Error): void => undefined };
    this.ends.push(new Promise((succeed, fail) => (settle = { succeed, fail })));
    return settle;
  }

  send(key: string): Promise<Answer<unknown>> {
    const answer = this.calls.send(inspect(key));
    answer.catch(() => undefined);
    return answer;
  }

  async refusal(key: string): Promise<StoreUnavailableError> {
    return (await rejection(this.send(key))) as StoreUnavailableError;
  }

  private async post(toBody: () => string): Promise<WireReply> {
    const { calls } = JSON.parse(toBody()) as { calls: WireCall[] };
    this.posts.push(calls.map(({ key }) => key).join(''));
    const now = this.clock.now() + 500;
    await this.ends.shift();
    return { server: 's', now, results: calls.map(() => this.result) };
  }
}

test('what a new server is asked first goes before what waits, and a lost POST before later ones', async () => {
  const line = new Line();
  const waits = line.send('b');
  const lostOnes = line.nextEnds();
  void line.calls.resume([inspect('a')]);
  await line.clock.advance(0);
  const later = line.send('c');
  lostOnes.fail(lost);
  await line.clock.advance(0);
  expect(line.failures).toEqual([lost]);
  void line.calls.resume([]);
  expect(await waits).toMatchObject({ isRepeated: true });
  expect(await later).toMatchObject({ isRepeated: false });
  expect(line.posts).toEqual(['ab', 'abc']);
});

test('a call that certainly did nothing is no repeated one when it is sent again', async () => {
  const line = new Line();
  const away = line.nextEnds();
  void line.calls.resume([]);
  const answer = line.send('a');
  away.fail(nothingDone);
  await line.clock.advance(0);
  void line.calls.resume([]);
  expect(await answer).toMatchObject({ isRepeated: false });
});

test('the server is read as its clock was when the call was sent', async () => {
  const line = new Line();
  void line.calls.resume([]);
  const slow = line.nextEnds();
  const answer = line.send('a');
  await line.clock.advance(300);
  slow.succeed();
  const { toLocal } = await answer;
  expect(toLocal(800)).toBe(300);
  expect(line.samples).toEqual([{ server: 's', now: 500, sentAt: 0 }]);
});

test('a call that is over is not sent any more, and its fate is known when it never was', async () => {
  const line = new Line();
  const never = line.refusal('a');
  await line.clock.advance(TIMEOUT_MS);
  expect(await never).toMatchObject({ nothingDone: true });
  void line.calls.resume([]);
  await line.clock.advance(0);
  expect(line.posts).toEqual([]);
});

test('the fate of a call that was under way when its time was over is not known, nor is it sent again', async () => {
  const line = new Line();
  void line.calls.resume([]);
  const slow = line.nextEnds();
  const underWay = line.refusal('a');
  await line.clock.advance(TIMEOUT_MS - 1);
  const queued = line.send('b');
  await line.clock.advance(1);
  expect(await underWay).toMatchObject({ nothingDone: false });
  slow.fail(nothingDone);
  await line.clock.advance(0);
  void line.calls.resume([]);
  await queued;
  expect(line.posts).toEqual(['a', 'b']);
});

test('the fate of a call whose answer was lost is not known, and of one that could not be sent it is', async () => {
  for (const end of [lost, nothingDone]) {
    const line = new Line();
    void line.calls.resume([]);
    const first = line.nextEnds();
    const over = line.refusal('a');
    first.fail(end);
    await line.clock.advance(TIMEOUT_MS);
    expect(await over).toMatchObject({ nothingDone: end.nothingDone, cause: end });
  }
});

test('while the server is away calls wait for it, and from its time limit on they fail at once', async () => {
  const line = new Line();
  void line.calls.resume([]);
  await line.clock.advance(2 * TIMEOUT_MS);
  const first = line.nextEnds();
  const over = line.refusal('a');
  await line.clock.advance(100);
  first.fail(nothingDone);
  await line.clock.advance(0);
  const second = line.refusal('b');
  let isOver = false;
  void second.then(() => (isOver = true));
  await line.clock.advance(100);
  expect(isOver).toBe(false);
  await line.clock.advance(TIMEOUT_MS - 100);
  expect([await over, await second]).toMatchObject([{ nothingDone: true }, { nothingDone: true }]);
  // Attempts to reach it that fail, the last one just now.
  line.calls.pause(nothingDone);
  const late = line.refusal('c');
  expect(line.clock.pendingTimers).toBe(0);
  expect(await late).toMatchObject({ nothingDone: true });
  void line.calls.resume([]);
  await line.send('d');
  expect(line.posts).toEqual(['a', 'd']);
});

test('what a server refuses fails at once, and so does what comes after it', async () => {
  const line = new Line();
  const waits = line.refusal('a');
  line.calls.pause(refused);
  expect(await waits).toMatchObject({ cause: refused, nothingDone: true });
  expect(await line.refusal('b')).toMatchObject({ cause: refused });
  const tooMuch = line.nextEnds();
  void line.calls.resume([]);
  const sent = line.refusal('c');
  tooMuch.fail(refused);
  expect(await sent).toMatchObject({ cause: refused, nothingDone: true });
  expect(line.failures).toEqual([]);
});

test('what the server could not do is known to be undone when it says so', async () => {
  const line = new Line();
  void line.calls.resume([]);
  line.result = { error: { code: 'BUSY', message: 'not now', nothingDone: true } };
  expect(await line.refusal('a')).toMatchObject({ nothingDone: true });
});

test('closing it ends its calls, takes no more, and leaves no timer', async () => {
  const line = new Line();
  const waits = rejection(line.send('a'));
  line.calls.close();
  expect(await waits).toMatchObject({ code: 'SEMAPHORE_CLOSED' });
  expect(await rejection(line.send('b'))).toMatchObject({ code: 'SEMAPHORE_CLOSED' });
  expect(line.clock.pendingTimers).toBe(0);
});
