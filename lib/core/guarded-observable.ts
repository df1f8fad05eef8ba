import { Observable, type Observer, type Operator, Subscriber, type Subscription } from 'rxjs';

type OnError = (error: unknown) => void;

/**
 * An observable whose subscribers may throw: the error goes to `onError` instead of becoming an uncaught exception of
 * the process. So does an error that nobody handles in a pipe behind it.
 */
export class GuardedObservable<T> extends Observable<T> {
  private constructor(private readonly onError: OnError) {
    super();
  }

  static of<T>(source: Observable<T>, onError: OnError): Observable<T> {
    const guarded = new GuardedObservable<T>(onError);
    guarded.source = source;
    return guarded;
  }

  /** Operators come through here: what is behind them is guarded too. */
  override lift<R>(operator?: Operator<T, R>): Observable<R> {
    const lifted = new GuardedObservable<R>(this.onError);
    lifted.source = this;
    lifted.operator = operator;
    return lifted;
  }

  override subscribe(
    observerOrNext?: Partial<Observer<T>> | ((value: T) => void) | null,
    error?: ((error: unknown) => void) | null,
    complete?: (() => void) | null,
  ): Subscription {
    if (observerOrNext instanceof Subscriber) return super.subscribe(observerOrNext);
    const observer: Partial<Observer<T>> =
      typeof observerOrNext === 'object' && observerOrNext !== null
        ? observerOrNext
        : {
            ...(observerOrNext && { next: observerOrNext }),
            ...(error && { error }),
            ...(complete && { complete }),
          };
    return super.subscribe({
      next: (value) => this.guard(() => observer.next?.(value)),
      error: (reason: unknown) =>
        this.guard(() => (observer.error ? observer.error(reason) : this.onError(reason))),
      complete: () => this.guard(() => observer.complete?.()),
    });
  }

  private guard(deliver: () => void): void {
    try {
      deliver();
    } catch (error) {
      this.onError(error);
    }
  }
}
