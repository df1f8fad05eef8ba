import { atMost, figure } from '../lib/goals.mjs';
import { sideBySide } from '../lib/side-by-side.mjs';

const PEER = 'ours-flights';
const KEYS = 1000;

export const scenario = {
  id: 13,
  async run(run) {
    const landing = await sideBySide(run, {
      title: "13 Single flight: from the publication to a follower's result",
      main: 'handOffP50',
      contenders: [{ peer: PEER, load: 'landing' }],
    });
    const keys = await sideBySide(run, {
      title: `13 Single flight: ${KEYS} keys at once, one caller each`,
      contenders: [
        { peer: PEER, load: 'distinctKeys', options: { callers: KEYS } },
        {
          peer: PEER,
          id: 'ours-permits',
          label: 'nestjs-semaphore withPermit',
          load: 'distinctKeys',
          options: { callers: KEYS, asPermits: true },
        },
      ],
    });
    return [landing, keys];
  },
  goals: ([landing]) => [
    atMost("follower's latency in pub/sub hops", figure(landing, PEER, 'timesHop'), 1.3, 'x'),
  ],
};
