import { performance } from 'node:perf_hooks';

const SAMPLES = 50;

/**
 * From the clock of this process to the system's monotonic clock, which all processes share. Being interrupted between
 * the two readings makes a sample too small, so the largest is the best.
 */
const offset = Math.max(
  ...Array.from({ length: SAMPLES }, () => {
    const shared = Number(process.hrtime.bigint()) / 1e6;
    return shared - performance.now();
  }),
);

/** Milliseconds, with fractions, comparable between processes. */
export function now() {
  return performance.now() + offset;
}
