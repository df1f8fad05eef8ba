import { setTimeout as delay } from 'node:timers/promises';
import { atMost, figure } from '../lib/goals.mjs';
import { probe } from '../lib/probe.mjs';
import { allAtOnce, takeTurns } from '../lib/turns.mjs';

const COUNT = 1000;
const HOLDERS = ['ours', 'redis-semaphore-mutex', 'redis-semaphore'];
const WAITERS = [
  'ours',
  'redis-semaphore-mutex',
  'redis-semaphore-mutex-fast',
  'redlock-patient',
  'bottleneck',
  'simple-redis-mutex',
];

/** Two thirds of a lease of 30 s, twice what lies between two renewals. */
const HELD_MS = 20_000;
/** Three times what lies between two signs of life. */
const WAITING_MS = 4500;
/** Less in a run with shorter measurements. */
const USUAL_SECONDS = 0.4;
const SETTLE_MS = 500;

/** What Redis has to do each second while nobody enters or leaves. */
async function rates(contestant, ms) {
  await delay(SETTLE_MS);
  const before = await contestant.stats();
  await delay(ms);
  const after = await contestant.stats();
  return {
    scriptsPerSecond: ((after.scripts - before.scripts) * 1000) / ms,
    commandsPerSecond: ((after.commands - before.commands) * 1000) / ms,
    cpuShare: (after.cpuUs - before.cpuUs) / (ms * 1000),
  };
}

export const scenario = {
  id: 5,
  async run(run) {
    const share = Math.min(1, run.seconds / USUAL_SECONDS);
    const held = await allAtOnce({
      title: `5  ${COUNT} permits held with renewal, on keys of their own`,
      main: 'scriptsPerSecond',
      turners: await probe(run, HOLDERS, {}, async (contestant) => {
        await contestant.processes[0].call('hold', { key: 'held', count: COUNT });
        return rates(contestant, HELD_MS * share);
      }),
    });
    const waiting = await takeTurns(
      { repeats: 1 },
      {
        title: `5  ${COUNT} waiters of a mutex that stays taken`,
        main: 'scriptsPerSecond',
        turners: await probe(run, WAITERS, {}, async (contestant) => {
          const [process] = contestant.processes;
          await process.call('hold', { key: 'wanted', count: 1, onOneKey: true });
          await process.call('wait', { key: 'wanted', count: COUNT });
          const figures = await rates(contestant, WAITING_MS * share);
          process.kill();
          return figures;
        }),
      },
    );
    return [held, waiting];
  },
  goals: ([held, waiting]) => [
    atMost('1,000 held: scripts a second', figure(held, 'ours', 'scriptsPerSecond'), 1.2),
    atMost('1,000 waiting: scripts a second', figure(waiting, 'ours', 'scriptsPerSecond'), 2),
  ],
};
