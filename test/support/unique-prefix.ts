import { randomUUID } from 'node:crypto';

/** A key prefix that no other test uses, so tests can share one server in any order. */
export function uniquePrefix(name = 'test'): string {
  return `${name}-${randomUUID()}`;
}
