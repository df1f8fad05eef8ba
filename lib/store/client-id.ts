import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';

/** Host and process, as snapshots show them. */
export function processName(): string {
  return `${hostname()
    .replace(/[^\w.-]/g, '_')
    .slice(0, 64)}:${process.pid}`;
}

/** A name for one session of this process: `host:pid:random`. */
export function newClientId(): string {
  return `${processName()}:${randomBytes(4).toString('hex')}`;
}
