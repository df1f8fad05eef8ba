import { atLeast, atMost, times } from '../lib/goals.mjs';
import { sideBySide } from '../lib/side-by-side.mjs';

const PEER = 'ours-flights';
const KEYS = 1000;

export const scenario = {
  id: 13,
  async run(run) {
    const landing = await sideBySide(run, {
      title: "13 Single flight: from the end of the leader's work to a follower's result",
      main: 'handOffP50',
      contenders: [
        { peer: PEER, load: 'landing' },
        {
          peer: 'raw-evalsha',
          id: 'hop',
          label: 'raw EVALSHA that publishes, to the message',
          load: 'hop',
          always: true,
        },
      ],
    });
    const keys = await sideBySide(run, {
      title: `13 Single flight: ${KEYS} keys at once, one caller each`,
      contenders: [
        { peer: PEER, load: 'distinctKeys', options: { callers: KEYS } },
        {
          peer: PEER,
          id: 'permits',
          label: 'nestjs-semaphore withPermit',
          load: 'distinctKeys',
          options: { callers: KEYS, asPermits: true },
        },
      ],
    });
    return [landing, keys];
  },
  goals: ([landing, keys]) => [
    atMost(
      "follower's latency in pub/sub hops",
      times(landing, PEER, 'hop', 'handOffP50'),
      1.3,
      'x',
    ),
    atLeast('1,000 keys: flights/s to permits/s', times(keys, PEER, 'permits'), 0.5, 'x'),
  ],
};
