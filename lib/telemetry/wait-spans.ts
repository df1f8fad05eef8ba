import type { Acquired } from '../core/acquisition-probe.js';
import type { ResolvedOptions } from '../resolve-options.js';
import type { RejectedReason } from '../semaphore.events.js';
import type { Clock } from '../store/clock.js';
import type { Attributes, Context, OpenTelemetry, Tracer } from './open-telemetry.js';

/** So many in a row are made as soon as their waits are over, the next ones many at a time. */
const AT_ONCE = 256;
const TOGETHER = 128;
const TOGETHER_MS = 100;
/** No more than that in {@link TOGETHER_MS} is no crowd: those that follow are made as soon as their waits are over. */
const FEW = 16;

/** A wait that is over. Times are by the clock of the store. */
interface Wait {
  readonly name: string;
  readonly context: Context;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly attributes: Attributes;
  readonly error: Error | undefined;
}

/**
 * The spans of all waits. They are made when the waits are over, so that samplers see what became of these, and many at a
 * time when there are many: one at a time, between a hand-over and the work that waits for it, each finds nothing of the
 * SDK in the processor's caches, and costs several times as much.
 */
export class WaitSpans {
  private readonly tracer: Tracer;
  private readonly nobody: object;
  private waits: Wait[] = [];
  private left = AT_ONCE;
  private crowd = 0;
  private isTimed = false;

  constructor(
    private readonly api: OpenTelemetry,
    private readonly clock: Clock,
    scope: string,
  ) {
    this.tracer = api.trace.getTracer(scope);
    this.nobody = new api.ProxyTracerProvider().getDelegate();
  }

  /** Called where the wait begins, in its caller's context. Undefined when nobody has registered an SDK for traces. */
  begin(options: ResolvedOptions): BegunWait | undefined {
    if (this.api.trace.getTracerProvider().getDelegate?.() === this.nobody) return undefined;
    return new BegunWait(this, options, this.api.context.active());
  }

  add(wait: Wait): void {
    this.waits.push(wait);
    if (this.left > 0) {
      this.left--;
      this.make();
    } else {
      this.gather();
    }
  }

  /** Makes the spans of all waits that are over. */
  make(): void {
    const { waits } = this;
    this.waits = [];
    const epoch = this.clock.wallTime() - this.clock.now();
    for (const wait of waits) {
      try {
        this.makeOne(wait, epoch);
      } catch {}
    }
  }

  private gather(): void {
    this.crowd++;
    if (!this.isTimed) {
      this.isTimed = true;
      this.clock.schedule(() => this.passed(), TOGETHER_MS);
    }
    if (this.waits.length >= TOGETHER) this.make();
  }

  private passed(): void {
    if (this.crowd <= FEW) this.left = AT_ONCE;
    this.crowd = 0;
    this.isTimed = false;
    this.make();
  }

  private makeOne(wait: Wait, epoch: number): void {
    const { name, context, attributes, error } = wait;
    const endTime = epoch + wait.endedAt;
    const options = { attributes, startTime: epoch + wait.startedAt };
    const span = this.tracer.startSpan(`semaphore wait ${name}`, options, context);
    if (error !== undefined) {
      span.recordException(error, endTime);
      span.setStatus({ code: this.api.SpanStatusCode.ERROR, message: error.message });
    }
    span.end(endTime);
  }
}

/** One wait, from the call of acquire to its permit or its rejection. */
export class BegunWait {
  constructor(
    private readonly spans: WaitSpans,
    private readonly options: ResolvedOptions,
    private readonly context: Context,
  ) {}

  acquired({ id, fencingToken, degraded }: Acquired, startedAt: number, endedAt: number): void {
    const attributes = this.attributes('acquired');
    attributes['semaphore.permit.id'] = id;
    attributes['semaphore.fencing_token'] = fencingToken;
    attributes['semaphore.degraded'] = degraded;
    this.end(attributes, undefined, startedAt, endedAt);
  }

  rejected(reason: RejectedReason, error: Error, startedAt: number, endedAt: number): void {
    // Who did not want to wait, or no longer, got its answer.
    const isFailure = reason !== 'busy' && reason !== 'aborted';
    this.end(this.attributes(reason), isFailure ? error : undefined, startedAt, endedAt);
  }

  private attributes(outcome: 'acquired' | RejectedReason): Attributes {
    const { name, weight } = this.options;
    return { 'semaphore.name': name, 'semaphore.weight': weight, 'semaphore.outcome': outcome };
  }

  private end(
    attributes: Attributes,
    error: Error | undefined,
    startedAt: number,
    endedAt: number,
  ) {
    const { options, context } = this;
    this.spans.add({ name: options.name, context, startedAt, endedAt, attributes, error });
  }
}
