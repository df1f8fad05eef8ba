import { setTimeout as delay } from 'node:timers/promises';
import { atMost, figure } from '../lib/goals.mjs';
import { probe } from '../lib/probe.mjs';
import { allAtOnce } from '../lib/turns.mjs';

const MANY = 10_000;
/** It makes about five keys and a limiter with timers of its own for each. */
const COUNTS = { bottleneck: 1000 };
/** Redis gives the buffers of a burst back after two seconds of rest. */
const SETTLE_MS = 3500;
/** What is not needed any more may stay for five seconds. */
const KEYS_GONE_MS = 7000;

const OWN_KEY = [
  'ours',
  'redis-semaphore-mutex',
  'redis-semaphore',
  'redlock',
  'redis-kit',
  'bottleneck',
  'simple-redis-mutex',
];
const ONE_KEY = ['ours', 'redis-semaphore', 'bottleneck'];

const warm = async (process) => {
  await process.call('hold', { key: 'warm', count: 1 });
  await process.call('free');
};

async function perItem(contestant, count, fill) {
  const before = await contestant.stats();
  await fill();
  await delay(SETTLE_MS);
  const after = await contestant.stats();
  return (after.bytes - before.bytes) / count;
}

async function permits(contestant, peer, onOneKey) {
  const [process] = contestant.processes;
  const count = COUNTS[peer] ?? MANY;
  await warm(process);
  const bytes = await perItem(contestant, count, () =>
    process.call('hold', { key: 'held', count, onOneKey }),
  );
  await process.call('free');
  await delay(KEYS_GONE_MS);
  return { bytes, keysLeft: await contestant.backend.keys() };
}

async function waiters(contestant) {
  const [process] = contestant.processes;
  await warm(process);
  await process.call('hold', { key: 'wanted', count: 1, onOneKey: true });
  const bytesWaiter = await perItem(contestant, MANY, () =>
    process.call('wait', { key: 'wanted', count: MANY }),
  );
  process.kill();
  return { bytesWaiter };
}

export const scenario = {
  id: 7,
  async run(run) {
    const examine = (peers, figures) => probe(run, peers, {}, figures);
    const own = await allAtOnce({
      title: `7  Redis memory of a permit on its own key (${MANY}; bottleneck ${COUNTS.bottleneck}), keys left ${KEYS_GONE_MS / 1000} s after their release`,
      main: 'bytesOwnKey',
      turners: await examine(OWN_KEY, async (contestant, _turn, peer) => {
        const { bytes, keysLeft } = await permits(contestant, peer, false);
        return { bytesOwnKey: bytes, keysLeft };
      }),
    });
    const one = await allAtOnce({
      title: '7  Redis memory of a permit, all on one key',
      main: 'bytesOneKey',
      turners: await examine(ONE_KEY, async (contestant, _turn, peer) => {
        const { bytes, keysLeft } = await permits(contestant, peer, true);
        return { bytesOneKey: bytes, keysLeft };
      }),
    });
    const waiting = await allAtOnce({
      title: '7  Redis memory of a waiter, all of one key',
      main: 'bytesWaiter',
      turners: await examine(['ours'], waiters),
    });
    return [own, one, waiting];
  },
  goals: ([own, one, waiting]) => [
    atMost('bytes of a permit on its own key', figure(own, 'ours', 'bytesOwnKey'), 150),
    atMost('bytes of a permit, all on one key', figure(one, 'ours', 'bytesOneKey'), 100),
    atMost('bytes of a waiter', figure(waiting, 'ours', 'bytesWaiter'), 60),
    atMost('keys left', figure(own, 'ours', 'keysLeft'), 0),
  ],
};
