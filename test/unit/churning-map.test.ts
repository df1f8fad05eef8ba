import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ChurningMap, ChurningSet } from '../../lib/churning-map.js';

const WORKER = fileURLToPath(new URL('../support/workers/churn.mjs', import.meta.url));

/** Enough for several renewals. */
const MANY = 2000;

describe('ChurningMap', () => {
  it('is a Map in all that it does', () => {
    const step = fc.tuple(fc.constantFrom('set', 'delete', 'clear'), fc.nat({ max: 40 }));
    const steps = fc.array(step, { minLength: MANY, maxLength: MANY });
    fc.assert(
      fc.property(steps, (all) => {
        const [ours, map] = [new ChurningMap<number, string>(), new Map<number, string>()];
        for (const [at, [what, key]] of all.entries()) {
          // Rarely, or nothing would gather.
          if (what === 'clear' && at % 100 === 0) {
            ours.clear();
            map.clear();
          } else if (what === 'delete') assert.equal(ours.delete(key), map.delete(key));
          else {
            ours.set(key, `at ${at}`);
            map.set(key, `at ${at}`);
          }
          assert.equal(ours.get(key), map.get(key));
          assert.equal(ours.has(key), map.has(key));
          assert.equal(ours.size, map.size);
        }
        assert.deepEqual([...ours], [...map]);
        assert.deepEqual([...ours.keys()], [...map.keys()]);
        assert.deepEqual([...ours.values()], [...map.values()]);
      }),
      { numRuns: 20 },
    );
  });

  it('lets its entries be taken out while somebody looks through them', () => {
    const map = new ChurningMap<number, number>();
    for (let i = 0; i < MANY; i++) map.set(i, i);
    let seen = 0;
    for (const key of map.keys()) {
      seen++;
      map.delete(key);
    }
    expect(seen).toBe(MANY);
    expect(map.size).toBe(0);
  });

  it('leaves nothing behind for major collections, however long it has been there', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', WORKER]);
    const { churning } = JSON.parse(stdout) as { churning: number };
    // A Map leaves 300,000 to 1,000,000.
    expect(churning).toBeLessThan(200_000);
  });
});

describe('ChurningSet', () => {
  it('is a Set in all that it does', () => {
    const [ours, set] = [new ChurningSet<number>(), new Set<number>()];
    for (let i = 0; i < MANY; i++) {
      const [comes, goes] = [(i * 7) % 50, (i * 13) % 50];
      ours.add(comes);
      set.add(comes);
      expect(ours.delete(goes)).toBe(set.delete(goes));
      expect(ours.has(comes)).toBe(set.has(comes));
      expect(ours.size).toBe(set.size);
    }
    expect([...ours]).toEqual([...set]);
    ours.clear();
    expect([...ours]).toEqual([]);
  });
});
