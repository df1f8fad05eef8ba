import { now } from '../lib/clock.mjs';
import { atMost, figure } from '../lib/goals.mjs';
import { percentile } from '../lib/measure.mjs';
import { probe } from '../lib/probe.mjs';
import { sideBySide } from '../lib/side-by-side.mjs';
import { takeTurns } from '../lib/turns.mjs';

const PEER = 'ours-flights';
const KEYS = 1000;
const WARM_UP_ROUNDS = 200;
/** As long as the message that carries the result here. */
const MESSAGE_BYTES = 130;

/** A publication, and two hops of a message between the same two processes, in turns of any order. */
async function landing({ processes: [leader, follower] }, turn, { seconds }) {
  const steps = {
    flight: (round) => publication(leader, follower, `k${turn}:${round}`),
    hop: () => hop(leader, follower),
    floor: (round) => hop(leader, follower, `floor:{${turn}:${round}}`),
  };
  const rounds = [];
  let endsAt = Infinity;
  while (now() < endsAt) {
    const times = {};
    for (const name of shuffled(Object.keys(steps))) {
      times[name] = (await steps[name](rounds.length)) * 1000;
    }
    if (rounds.push(times) === WARM_UP_ROUNDS) endsAt = now() + seconds * 1000;
  }
  const at = (name, share) =>
    percentile(
      rounds.slice(WARM_UP_ROUNDS).map((times) => times[name]),
      share,
    );
  return {
    handOffP50: at('flight', 0.5),
    handOffP99: at('flight', 0.99),
    hopP50: at('hop', 0.5),
    floorP50: at('floor', 0.5),
    timesHop: at('flight', 0.5) / at('hop', 0.5),
  };
}

/** What ran before makes a difference of its own: to the caches, and to what still goes on. */
function shuffled(names) {
  const places = new Map(names.map((name) => [name, Math.random()]));
  return names.sort((one, other) => places.get(one) - places.get(other));
}

/** Milliseconds from the end of the leader's work to the follower's result. */
async function publication(leader, follower, key) {
  await leader.call('lead', { key });
  await follower.call('follow', { key });
  const done = await leader.call('finish');
  return (await follower.call('landed')).at - done.at;
}

/** Milliseconds from the call that publishes to the callback of the subscriber. */
async function hop(publisher, subscriber, key) {
  await subscriber.call('hear', { key });
  const said = await publisher.call('say', { bytes: MESSAGE_BYTES, key });
  return (await subscriber.call('heard')).at - said.at;
}

export const scenario = {
  id: 13,
  async run(run) {
    const flights = await takeTurns(run, {
      title:
        "13 Single flight: from the end of the leader's work to a follower's result, two processes",
      main: 'handOffP50',
      turners: await probe(run, [PEER], { processes: 2 }, (contestant, turn) =>
        landing(contestant, turn, run),
      ),
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
    return [flights, keys];
  },
  goals: ([flights]) => [
    atMost("follower's latency in pub/sub hops", figure(flights, PEER, 'timesHop'), 1.3, 'x'),
  ],
};
