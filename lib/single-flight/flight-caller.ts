import { AsyncResource } from 'node:async_hooks';
import { onAbort } from '../cancel/on-abort.js';
import { begun } from '../completion/when-over.js';
import { SingleFlightAbortedError, SingleFlightTimeoutError } from '../semaphore.errors.js';
import type { Clock } from '../store/clock.js';
import type { Outcome } from './envelope.js';
import type { ResolvedFlightOptions } from './single-flight.options.js';
import type { Surrounding } from './surrounding-flights.js';
import { asTransportException } from './transport-exception.js';

export type Work = (signal: AbortSignal) => unknown;

/** Somebody who asked for the result, and can do the work. Gives up alone. */
export class FlightCaller {
  readonly result: Promise<unknown>;
  private resolve!: (value: unknown) => void;
  private reject!: (error: unknown) => void;
  private readonly stops: (() => void)[] = [];
  /** In which the work is done; undefined: in that of the flight. */
  private context: AsyncResource | undefined;

  constructor(
    readonly key: string,
    private readonly work: Work,
    readonly options: ResolvedFlightOptions,
    private readonly surrounding: Surrounding,
  ) {
    this.result = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  /** Another caller's flight may do the work: still in the context of the one who brought it. */
  keepContext(): void {
    // Not `bind`, which defines properties of a function: that takes ten times as long as all the rest.
    this.context = new AsyncResource('SingleFlight');
  }

  /** @param onGone called when it gives up */
  wait(clock: Clock, onGone: () => void): void {
    const { key } = this;
    const { timeoutMs, signal } = this.options;
    const giveUp = (error: Error): void => {
      this.settle({ isError: true, error });
      onGone();
    };
    if (timeoutMs !== Infinity) {
      const timeOut = (): void => giveUp(new SingleFlightTimeoutError(key, timeoutMs));
      this.stops.push(clock.schedule(timeOut, timeoutMs));
    }
    if (signal !== undefined) {
      const abort = (): void => giveUp(new SingleFlightAbortedError(key, signal.reason));
      this.stops.push(onAbort(signal, abort));
    }
  }

  /** Never throws. */
  async do(signal: AbortSignal): Promise<Outcome> {
    try {
      return { isError: false, value: await this.begin(signal) };
    } catch (error) {
      return { isError: true, error };
    } finally {
      this.surrounding.end();
    }
  }

  private begin(signal: AbortSignal): unknown {
    const begin = (): unknown => this.surrounding.run(() => begun(this.work(signal)));
    return this.context === undefined ? begin() : this.context.runInAsyncScope(begin);
  }

  settle(outcome: Outcome): void {
    for (const stop of this.stops) stop();
    if (!outcome.isError) this.resolve(outcome.value);
    else if (!('transportClass' in outcome)) this.reject(outcome.error);
    else void asTransportException(outcome.error, outcome.transportClass).then(this.reject);
  }
}
