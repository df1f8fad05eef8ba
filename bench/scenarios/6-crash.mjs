import { setTimeout as delay } from 'node:timers/promises';
import { atMost, figure } from '../lib/goals.mjs';
import { median } from '../lib/measure.mjs';
import { probe } from '../lib/probe.mjs';
import { allAtOnce } from '../lib/turns.mjs';

const PEERS = [
  'ours',
  'redis-semaphore-mutex',
  'redlock-patient',
  'redis-kit-fast',
  'bottleneck',
  'simple-redis-mutex',
  'live-mutex',
];
const LEASE_MS = 1000;
const KILL_AFTER_MS = 150;
/** Of the rest of the lease: who sends commands now is polling. */
const QUIET_MS = 600;
/** So that their leases do not end in the same moment. */
const APART_MS = 130;

/** A process acquires and is killed; the first process of the contender waits for what it held. */
async function crash(contestant, holder, key) {
  const [waiter] = contestant.processes;
  const { heldAt } = await holder.call('hold', { key, count: 1, onOneKey: true });
  const entry = waiter.call('enter', { key }, LEASE_MS + 20_000);
  await delay(KILL_AFTER_MS);
  holder.kill();
  const before = await contestant.stats();
  await delay(QUIET_MS);
  const after = await contestant.stats();
  const { enteredAt } = await entry;
  // One of the commands asked for these figures.
  const commands = after.commands - before.commands - 1;
  return { lateMs: enteredAt - (heldAt + LEASE_MS), commands: (commands * 1000) / QUIET_MS };
}

export const scenario = {
  id: 6,
  async run(run) {
    const processes = 1 + run.repeats;
    const group = await allAtOnce({
      title: `6  A holder is killed ${KILL_AFTER_MS} ms after it acquired; its lease is ${LEASE_MS} ms`,
      main: 'lateMs',
      turners: await probe(
        run,
        PEERS,
        { processes, leaseMs: LEASE_MS },
        async (contestant, turn) => {
          await delay(turn * APART_MS);
          const crashes = [];
          for (const [index, holder] of contestant.processes.slice(1).entries()) {
            crashes.push(await crash(contestant, holder, `crash${index}`));
          }
          const late = crashes.map(({ lateMs }) => lateMs);
          return {
            lateMs: median(late),
            lateMsMost: Math.max(...late),
            commandsPerSecond: median(crashes.map(({ commands }) => commands)),
          };
        },
      ),
    });
    return [group];
  },
  goals: ([group]) => [
    atMost('next entry after the end of the lease', figure(group, 'ours', 'lateMs'), 10, ' ms'),
    atMost('commands a second until then', figure(group, 'ours', 'commandsPerSecond'), 5),
  ],
};
