import type { IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { StoreUnavailableError } from '../semaphore.errors.js';
import type { Clock } from '../store/clock.js';
import { KEYS_PATH } from '../store/remote/wire.js';
import { scheduleAfterReading } from './after-reading.js';
import type { RemoteLink } from './remote.link.js';

/** The keys in use, as the server tells them; no sooner than the reader wants them. */
export async function* listKeys(
  pattern: string,
  link: RemoteLink,
  clock: Clock,
  timeoutMs: number,
): AsyncGenerator<string, void, undefined> {
  let response: IncomingMessage | undefined;
  const late = new Error(`the server said nothing for ${timeoutMs} ms`);
  try {
    const input = await link.get(`${KEYS_PATH}?pattern=${encodeURIComponent(pattern)}`, timeoutMs);
    response = input;
    const lines = createInterface({ input, crlfDelay: Infinity })[Symbol.asyncIterator]();
    let failed: (error: Error) => void = () => undefined;
    input.on('error', (error) => failed(error));
    for (;;) {
      const stop = scheduleAfterReading(clock, () => input.destroy(late), timeoutMs);
      const broken = new Promise<never>((_, reject) => (failed = reject));
      const line = await Promise.race([lines.next(), broken]).finally(stop);
      if (line.done === true) throw new Error('the list broke off');
      const key: unknown = JSON.parse(line.value);
      if (key === true) {
        // Its end is on its way, and then the connection is free for others.
        response = undefined;
        return;
      }
      yield key as string;
    }
  } catch (error) {
    throw new StoreUnavailableError((error as Error).message, undefined, error, true);
  } finally {
    // The server would wait for ever for a reader that has left.
    response?.destroy();
  }
}
