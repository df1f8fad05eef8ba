import type { Attributes, Histogram } from './open-telemetry.js';

const AT_ONCE = 256;

interface Duration {
  readonly histogram: Histogram;
  readonly seconds: number;
  readonly attributes: Attributes;
}

/**
 * Durations that are still to be recorded: many at a time, when metrics are collected at the latest. One at a time, between
 * other work, each finds nothing of the SDK in the processor's caches, and costs several times as much.
 */
export class Durations {
  private measured: Duration[] = [];

  add(histogram: Histogram, seconds: number, attributes: Attributes): void {
    this.measured.push({ histogram, seconds, attributes });
    if (this.measured.length >= AT_ONCE) this.record();
  }

  /** Whatever an SDK throws must not change what becomes of a permit, nor of the other metrics. */
  record(): void {
    const { measured } = this;
    this.measured = [];
    for (const { histogram, seconds, attributes } of measured) {
      try {
        histogram.record(seconds, attributes);
      } catch {}
    }
  }
}
