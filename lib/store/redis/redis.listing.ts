import { detailOf } from '../../semaphore.errors.js';
import type { RedisCalls } from './redis.calls.js';
import type { RedisCommands } from './redis.commands.js';
import type { RedisKeys } from './redis.keys.js';
import type { RedisLink } from './redis.link.js';
import { isOne } from './script-format.js';

/** As struct, with which the script reads, complains. */
const UNREADABLE = /data string too short/;
const SCAN_COUNT = 500;
/** A check costs Redis more than a step of the scan. */
const CHECKED_AT_ONCE = 100;

/** The keys in use that are wanted, each once: scanned in steps, so that Redis is never held up. */
export async function* listKeys(
  isWanted: (key: string) => boolean,
  link: RedisLink,
  calls: RedisCalls,
  commands: RedisCommands,
  keys: RedisKeys,
): AsyncGenerator<string, void, undefined> {
  const seen = new Set<string>();
  for (const master of await link.masters()) {
    let cursor = '0';
    do {
      const [next, found] = await commands.read(() =>
        master.scan(cursor, 'MATCH', keys.allStates, 'COUNT', SCAN_COUNT, 'TYPE', 'string'),
      );
      cursor = next;
      const candidates = found.filter((state) => !seen.has(state) && isWanted(keys.keyOf(state)));
      for (const state of candidates) seen.add(state);
      for (let from = 0; from < candidates.length; from += CHECKED_AT_ONCE) {
        const some = candidates.slice(from, from + CHECKED_AT_ONCE);
        const inUse = await Promise.all(some.map((state) => isInUse(calls, state)));
        for (const [i, state] of some.entries()) if (inUse[i]) yield keys.keyOf(state);
      }
    } while (cursor !== '0');
  }
}

/** What the script cannot read is none of ours. */
async function isInUse(calls: RedisCalls, state: string): Promise<boolean> {
  try {
    return await calls.send({ state, text: 'I' }, isOne);
  } catch (error) {
    if (UNREADABLE.test(detailOf(error))) return false;
    throw error;
  }
}
