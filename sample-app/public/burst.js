/**
 * One burst of requests, as the server tells of it. Times are milliseconds since its start.
 */
export class Burst {
  /** In the order of arrival: when each arrived, entered and left the limited part, and what it was answered. */
  requests = [];
  /** How many ran at once, from when on. */
  load = [{ at: 0, running: 0 }];
  permits = 0;
  running = 0;
  most = 0;

  #startedAt = 0;
  #receivedAt = 0;
  #endedAt = Infinity;

  add(event) {
    const at = event.at - this.#startedAt;
    switch (event.type) {
      case 'started':
        this.#startedAt = event.at;
        this.#receivedAt = performance.now();
        this.permits = event.permits;
        return;
      case 'arrived':
        this.requests.push({ n: event.n, arrivedAt: at });
        return;
      case 'entered':
        this.#of(event.n).enteredAt = at;
        this.#run(at, 1);
        return;
      case 'left':
        this.#of(event.n).leftAt = at;
        this.#run(at, -1);
        return;
      case 'answered':
        Object.assign(this.#of(event.n), { answeredAt: at, status: event.status });
    }
  }

  end() {
    this.#endedAt = this.now;
  }

  get now() {
    const last = this.load.at(-1).at;
    return Math.min(Math.max(last, performance.now() - this.#receivedAt), this.#endedAt);
  }

  get rejected() {
    return this.requests.filter(isRejected).length;
  }

  get finished() {
    return this.requests.filter((request) => request.status === 200).length;
  }

  get waiting() {
    return this.requests.filter(isWaiting).length;
  }

  #of(n) {
    return this.requests[n - 1];
  }

  #run(at, change) {
    this.running += change;
    this.most = Math.max(this.most, this.running);
    this.load.push({ at, running: this.running });
  }
}

export function isRejected({ status }) {
  return status !== undefined && status !== 200;
}

function isWaiting({ enteredAt, answeredAt }) {
  return enteredAt === undefined && answeredAt === undefined;
}

/** Has the server send the requests, and hands over each event as it comes. */
export async function sendRequests(requests, onEvent) {
  const response = await fetch(`demo/bursts?requests=${requests}`, { method: 'POST' });
  if (!response.ok) throw new Error(`The server answered ${response.status}`);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split('\n');
    rest = lines.pop();
    for (const line of lines) onEvent(JSON.parse(line));
  }
}
