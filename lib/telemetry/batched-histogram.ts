import type { Attributes, Histogram } from './open-telemetry.js';

const AT_ONCE = 256;

interface Value {
  readonly value: number;
  readonly attributes: Attributes;
}

/**
 * Tells a histogram many values at a time. One at a time, between other work, each finds nothing of the SDK in the
 * processor's caches, and costs several times as much.
 */
export class BatchedHistogram implements Histogram {
  private values: Value[] = [];

  constructor(private readonly histogram: Histogram) {}

  record(value: number, attributes: Attributes): void {
    this.values.push({ value, attributes });
    if (this.values.length >= AT_ONCE) this.flush();
  }

  /** Whatever an SDK throws must not change what becomes of a permit, nor of the other metrics. */
  flush(): void {
    const { values } = this;
    this.values = [];
    for (const { value, attributes } of values) {
      try {
        this.histogram.record(value, attributes);
      } catch {}
    }
  }
}
