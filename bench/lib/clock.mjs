import { performance } from 'node:perf_hooks';

/** The system's monotonic clock, which all processes of the machine share. */
const offset = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** Milliseconds, with fractions, comparable between processes. */
export function now() {
  return performance.now() + offset;
}
