import { semaphoreScript } from '../../lib/store/redis/scripts/embedded.js';

/** Where {@link timedScript} reads the time, in microseconds. */
export const CLOCK = 'clock';

/** The semaphore script, with another time than the server's. */
export const timedScript = replaced(
  semaphoreScript,
  "local time = call('TIME')",
  `local clock = call('GET', '${CLOCK}') local time = { string.sub(clock, 1, -7), string.sub(clock, -6) }`,
);

/** The script, with one of its parts replaced. */
export function replaced(script: string, text: string, by: string): string {
  if (!script.includes(text)) throw new Error(`The script has no ${text}`);
  return script.replace(text, () => by);
}
