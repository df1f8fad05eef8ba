import {
  type FlightLook,
  type Publication,
  type PublicationListener,
  type SingleFlightStore,
  stateOfResult,
} from '../single-flight-store.js';
import type { Sample } from './operations.js';
import type { RedisCalls } from './redis.calls.js';
import type { RedisKeys } from './redis.keys.js';
import { ignore, isOne } from './script-format.js';

/** More than any token. */
const ONLY_USABLE = Number.MAX_SAFE_INTEGER;

/** What a payload begins with that is none. */
const VOID = '!';

/** What the script answers to a look. */
type LookAnswer = [led: number, waiting: number, result: string];

interface Stored {
  token: number;
  freshUntil: number;
  usableUntil: number;
  payload: string;
}

/** Single flights in Redis, through the connections and the calls of the process's semaphores. */
export class RedisFlights implements SingleFlightStore {
  private published: PublicationListener = () => undefined;
  private forgotten: (key: string) => void = () => undefined;

  constructor(
    private readonly calls: RedisCalls,
    private readonly keys: RedisKeys,
  ) {}

  listen(published: PublicationListener, forgotten: (key: string) => void): void {
    this.published = published;
    this.forgotten = forgotten;
  }

  look(key: string, seen = ONLY_USABLE): Promise<FlightLook> {
    const request = { state: this.keys.state(key), text: `S${seen}` };
    return this.calls.send(request, (answer: LookAnswer, sample) => toLook(answer, sample, seen));
  }

  publish(key: string, publication: Publication): Promise<boolean> {
    const { permitId, freshMs, staleMs, payload } = publication;
    const state = this.keys.state(key);
    const text = `W${permitId} ${freshMs} ${staleMs}`;
    return this.calls.send({ state, text, list: [payload] }, isOne);
  }

  async forget(key: string): Promise<void> {
    await this.calls.send({ state: this.keys.state(key), text: 'X' }, ignore);
  }

  /**
   * `state token fresh usable +payload`, the payload only when it is short; nothing between the first two. `state` alone when it
   * was forgotten.
   */
  onMessage(text: string): void {
    // The state ends with the brace that closes the hash tag, and has none in its key.
    const end = text.indexOf('}', this.keys.prefix.length + 1) + 1;
    const key = this.keys.keyOf(text.slice(0, end));
    if (end === text.length) {
      this.forgotten(key);
      return;
    }
    const payload = payloadAfter(text, end);
    const carried = payload < text.length ? text.slice(payload + 1) : undefined;
    const token = Number(text.slice(end, text.indexOf(' ', end)));
    this.published(key, token, carried);
  }
}

function toLook([led, waiting, result]: LookAnswer, sample: Sample, seen: number): FlightLook {
  const at = sample.serverNow;
  const stored = parse(result);
  const { token, freshUntil, payload } = stored;
  const isVoid = payload === '' || payload.startsWith(VOID);
  const state = isVoid ? 'none' : stateOfResult(stored, at, seen);
  return {
    state,
    payload: state === 'none' ? '' : payload,
    freshUntil: token === 0 ? 0 : sample.sentAt + (freshUntil - at),
    token,
    isLed: led === 1,
    waiting,
    at,
  };
}

/** `token fresh usable payload` */
function parse(text: string): Stored {
  if (text === '') return { token: 0, freshUntil: 0, usableUntil: 0, payload: '' };
  const payload = payloadAfter(text, 0);
  const [token, freshUntil, usableUntil] = text.slice(0, payload).split(' ', 3).map(Number);
  return { token, freshUntil, usableUntil, payload: text.slice(payload) } as Stored;
}

/** Where the payload begins, behind three words from `start` on. */
function payloadAfter(text: string, start: number): number {
  let at = start;
  for (let word = 0; word < 3; word++) at = text.indexOf(' ', at) + 1;
  return at;
}
