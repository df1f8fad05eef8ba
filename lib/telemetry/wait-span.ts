import type { Acquired } from '../core/acquisition-probe.js';
import type { RejectedReason } from '../semaphore.events.js';
import type { OpenTelemetry, Span, Tracer } from './open-telemetry.js';

/** The span of one wait, from the call of acquire to its permit or its rejection. */
export class WaitSpan {
  private constructor(
    private readonly span: Span,
    private readonly errorCode: number,
  ) {}

  /** A child of the span that is active; undefined when it would not be recorded. */
  static start(api: OpenTelemetry, tracer: Tracer, name: string, weight: number) {
    const attributes = { 'semaphore.name': name, 'semaphore.weight': weight };
    const span = tracer.startSpan(`semaphore wait ${name}`, { attributes });
    return span.isRecording() ? new WaitSpan(span, api.SpanStatusCode.ERROR) : undefined;
  }

  acquired({ id, fencingToken, degraded }: Acquired): void {
    try {
      this.span.setAttributes({
        'semaphore.outcome': 'acquired',
        'semaphore.permit.id': id,
        'semaphore.fencing_token': fencingToken,
        'semaphore.degraded': degraded,
      });
      this.span.end();
    } catch {}
  }

  rejected(reason: RejectedReason, error: Error): void {
    try {
      this.span.setAttributes({ 'semaphore.outcome': reason });
      // Who did not want to wait, or no longer, got its answer.
      if (reason !== 'busy' && reason !== 'aborted') {
        this.span.recordException(error);
        this.span.setStatus({ code: this.errorCode, message: error.message });
      }
      this.span.end();
    } catch {}
  }
}
