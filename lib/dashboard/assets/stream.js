const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 10_000;
/** The server says something at least every 10 seconds. */
const SILENCE_MS = 25_000;
const PATIENCE_MS = 5_000;

/**
 * Frames from the server, for as long as the page is visible. Comes back by itself.
 * @typedef {'lost' | 'paused'} State until the next frame
 */
export class Stream {
  #source;
  #query;
  #timer;
  #retryMs = FIRST_RETRY_MS;
  #handlers;

  /** @param handlers `onFrame(frame)`, `onSession(session)`, `onState(State, problem)`; a problem is `{ reason, isRefusal }` */
  constructor(handlers) {
    this.#handlers = handlers;
    document.addEventListener('visibilitychange', () => this.#reopen());
  }

  /** Asks for something else from now on. */
  show(query) {
    this.#query = query;
    this.#reopen();
  }

  #reopen() {
    this.#stop();
    if (document.hidden) this.#handlers.onState('paused');
    else if (this.#query !== undefined) this.#open();
  }

  #open() {
    const source = new EventSource(`api/stream?${this.#query}`);
    this.#source = source;
    this.#expectSigns();
    source.addEventListener('session', ({ data }) => {
      this.#retryMs = FIRST_RETRY_MS;
      this.#handlers.onSession(JSON.parse(data));
    });
    source.addEventListener('frame', ({ data }) => {
      this.#expectSigns();
      this.#handlers.onFrame(JSON.parse(data));
    });
    // The visitor has to be admitted again.
    source.addEventListener('renew', () => this.#reopen());
    source.addEventListener('error', () => void this.#comeBack());
  }

  #expectSigns() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#comeBack(), SILENCE_MS);
  }

  async #comeBack() {
    this.#stop();
    const problem = await problemWith(this.#query);
    // Somebody looks at something else by now, or at nothing.
    if (this.#source || document.hidden) return;
    this.#handlers.onState('lost', problem);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#reopen(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, LAST_RETRY_MS);
  }

  #stop() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = undefined;
  }
}

/** An EventSource does not tell why it was refused; a server that is gone without a word does not answer. */
async function problemWith(query) {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), PATIENCE_MS);
  try {
    const response = await fetch(`api/overview?limit=0&${query}`, { signal: controller.signal });
    if (response.ok) return {};
    const isRefusal = response.status === 401 || response.status === 403;
    return { reason: await problemOf(response), isRefusal };
  } catch {
    return {};
  } finally {
    clearTimeout(timer);
  }
}

/** What an answer that is not a success says. */
export async function problemOf(response) {
  const body = await response.json().catch(() => ({}));
  return body.detail ?? body.message ?? `The server answered ${response.status}.`;
}
