import type { Clock } from '../store/clock.js';
import type { StoreSession } from '../store/semaphore-store.js';
import type { Alarm } from './alarm.js';
import type { Entries, Entry } from './entries.js';
import type { GiveBackList } from './give-back-list.js';
import type { Reporter } from './reporter.js';

/** What all parts of the core share. */
export interface CoreParts {
  clock: Clock;
  session: StoreSession;
  entries: Entries;
  alarm: Alarm<Entry>;
  giveBacks: GiveBackList;
  reporter: Reporter;
}
