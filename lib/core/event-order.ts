import { ChurningMap } from '../churning-map.js';
import type { SemaphoreEvent } from '../semaphore.events.js';
import { LinkedList } from './linked-list.js';

/** The place of an event among those of its key; empty until it is known. */
interface Place {
  event: SemaphoreEvent | undefined;
}

/**
 * Keeps events of a key in the order in which they happened, although what came of a release is known only when the store
 * has answered, and may have made the next waiter a holder: whoever counts by events sees no holder too many for that.
 */
export class EventOrder {
  private readonly lines = new ChurningMap<string, LinkedList<Place>>();

  constructor(private readonly deliver: (event: SemaphoreEvent) => void) {}

  /** An event that is known now. */
  pass(event: SemaphoreEvent): void {
    const line = event.key === undefined ? undefined : this.lines.get(event.key);
    if (line === undefined || mayOvertake(event, line)) this.deliver(event);
    else line.add({ event });
  }

  /** An event of the key that has happened, or has not, which is known with what is coming: that does not reject. */
  expect<T>(
    key: string,
    coming: Promise<T>,
    toEvent: (known: T) => SemaphoreEvent | undefined,
  ): void {
    const place: Place = { event: undefined };
    const line = this.lines.get(key) ?? new LinkedList<Place>();
    this.lines.set(key, line);
    const link = line.add(place);
    void coming.then((known) => {
      place.event = toEvent(known);
      if (place.event === undefined) line.remove(link);
      this.advance(key, line);
    });
  }

  /** Waits for no outcome any more. */
  end(): void {
    for (const line of this.lines.values()) {
      for (let place = line.shift(); place !== undefined; place = line.shift()) {
        if (place.event !== undefined) this.deliver(place.event);
      }
    }
    this.lines.clear();
  }

  private advance(key: string, line: LinkedList<Place>): void {
    for (let place = line.first; place?.event !== undefined; place = line.first) {
      line.shift();
      this.deliver(place.event);
    }
    if (line.first === undefined && this.lines.get(key) === line) this.lines.delete(key);
  }
}

/** Somebody ought to hear at once that a permit was lost, and counts one less; its acquisition comes before. */
function mayOvertake(event: SemaphoreEvent, line: LinkedList<Place>): boolean {
  if (event.type !== 'lost') return false;
  for (const { event: other } of line) if (other?.permitId === event.permitId) return false;
  return true;
}
