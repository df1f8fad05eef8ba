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

/** A wait that is over: a permit was acquired, or an error says why not. Times are by the clock of the store. */
export interface FinishedWait {
  readonly options: ResolvedOptions;
  readonly context: Context;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly outcome: 'acquired' | RejectedReason;
  readonly permit: Acquired | undefined;
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
  private waits: FinishedWait[] = [];
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

  /** Where the caller works. Undefined when nobody has registered an SDK for traces. */
  contextOfCaller(): Context | undefined {
    if (this.api.trace.getTracerProvider().getDelegate?.() === this.nobody) return undefined;
    return this.api.context.active();
  }

  add(wait: FinishedWait): void {
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

  private makeOne(wait: FinishedWait, epoch: number): void {
    const { options, context, outcome, error } = wait;
    const startTime = epoch + wait.startedAt;
    const endTime = epoch + wait.endedAt;
    const span = this.tracer.startSpan(
      `semaphore wait ${options.name}`,
      { attributes: attributesOf(wait), startTime },
      context,
    );
    // Who did not want to wait, or no longer, got its answer.
    if (error !== undefined && outcome !== 'busy' && outcome !== 'aborted') {
      span.recordException(error, endTime);
      span.setStatus({ code: this.api.SpanStatusCode.ERROR, message: error.message });
    }
    span.end(endTime);
  }
}

function attributesOf({ options, outcome, permit }: FinishedWait): Attributes {
  const { name, weight } = options;
  const attributes: Attributes = {
    'semaphore.name': name,
    'semaphore.weight': permit?.weight ?? weight,
    'semaphore.outcome': outcome,
  };
  if (permit !== undefined) {
    attributes['semaphore.permit.id'] = permit.id;
    attributes['semaphore.fencing_token'] = permit.fencingToken;
    attributes['semaphore.degraded'] = permit.degraded;
  }
  return attributes;
}
