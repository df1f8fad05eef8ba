import type { ChurningMap } from '../churning-map.js';
import type { Clock } from '../store/clock.js';
import type { StoreSession } from '../store/semaphore-store.js';
import type { Alarm } from './alarm.js';
import type { Entry } from './entries.js';
import type { GiveBackList } from './give-back-list.js';
import type { Reporter } from './reporter.js';

/** What all parts of the core share. */
export interface CoreParts {
  clock: Clock;
  session: StoreSession;
  /** Who waits and who holds, by id. */
  entries: ChurningMap<string, Entry>;
  alarm: Alarm<Entry>;
  giveBacks: GiveBackList;
  reporter: Reporter;
}
