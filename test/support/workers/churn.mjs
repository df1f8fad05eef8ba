/**
 * How much reaches the old generation while entries come and go, in bytes: in a Map, and in ours.
 * Each was there for long enough to have reached it. To be run with --expose-gc.
 */
import { getHeapSpaceStatistics } from 'node:v8';
import { ChurningMap } from '../../../dist/churning-map.js';

const AT_ONCE = 64;
const ENTRIES = 40_000;
const COLLECT_EVERY = 4000;

const collect = () => globalThis.gc({ type: 'minor' });

function oldGeneration() {
  return getHeapSpaceStatistics().find((space) => space.space_name === 'old_space').space_used_size;
}

function promotedBy(map) {
  for (let i = 0; i < AT_ONCE; i++) map.set(i, { of: i, with: Array(20).fill(i) });
  for (let i = 0; i < 3; i++) collect();
  const before = oldGeneration();
  for (let i = AT_ONCE; i < ENTRIES; i++) {
    map.delete(i - AT_ONCE);
    map.set(i, { of: i, with: Array(20).fill(i) });
    if (i % COLLECT_EVERY === 0) collect();
  }
  return oldGeneration() - before;
}

process.stdout.write(
  JSON.stringify({ churning: promotedBy(new ChurningMap()), map: promotedBy(new Map()) }),
);
