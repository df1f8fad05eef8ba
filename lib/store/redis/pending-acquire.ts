import type { AcquireRequest } from '../semaphore-store.js';
import type { Sample } from './operations.js';
import { type Granted, labelText, leaseText } from './script-format.js';

/** An acquire that stands in the queue, or may. */
export class PendingAcquire {
  /** Its place in the queue, once the server has told it. */
  score: number | undefined;
  /** Pairs the local with the server's clock. */
  sample: Sample | undefined;
  /** Its grant came by a message before the reply that tells its place. */
  early: Granted | undefined;
  /** The reply to its acquire is still to come. */
  isAsking = true;
  /** Its grant was handed on. */
  isGranted = false;
  /** Local time until when a lost copy of a call that names it may be run; 0 when there is none. */
  doubtedUntil = 0;
  /** How many polls that ask what became of it are under way. */
  polls = 0;
  /** It was given up, or released: a repeated call that puts it back must be undone. */
  isCancelled = false;

  constructor(
    readonly request: AcquireRequest,
    readonly state: string,
    private readonly client: string,
  ) {}

  /** As it stands in the queue. */
  get member(): string {
    const { id, weight, leaseMs, priority, label } = this.request;
    return `${id} ${this.client} ${weight} ${leaseText(leaseMs)} ${priority} ${labelText(label)}`;
  }
}
