import { loadPeer } from '../peers/registry.mjs';
import { Contestant } from './contestants.mjs';

/**
 * Contenders for a measurement that is more than one load: `examine` does it and returns the figures.
 * @param {object} run settings of this run
 * @param {string[]} peers
 * @param {{ processes?: number, leaseMs?: number }} setup
 * @param {(contestant: Contestant, turn: number, peer: string) => Promise<Record<string, number>>} examine
 */
export function probe(run, peers, setup, examine) {
  return Promise.all(
    peers.filter(run.includes).map(async (peer) => {
      const { name, settings } = await loadPeer(peer);
      let contestant;
      return {
        id: peer,
        name,
        settings,
        open: async () => {
          contestant = await Contestant.open({ peer, ...setup }, run);
        },
        measure: async (turn) => (turn === 'warm' ? {} : examine(contestant, turn, peer)),
        close: async () => contestant?.close(),
      };
    }),
  );
}
