import { hash } from 'node:crypto';
import { RESERVED_PREFIX } from './api-keys.js';

/** A permit that a session holds. */
export interface SessionPermit {
  key: string;
  id: string;
  leaseMs: number;
}

/** Under which key the permits of a session are noted; whoever sees it there cannot resume the session. */
export function noteKey(sessionId: string): string {
  return `${RESERVED_PREFIX}session:${hash('sha256', sessionId, 'base64url')}`;
}

/** The id of a permit's note. Not the permit's own: an id stands for one permit only. */
export function noteId(permitId: string): string {
  return `note-${permitId}`;
}

export function noteText({ key, id, leaseMs }: SessionPermit): string {
  return JSON.stringify([key, id, leaseMs]);
}

export function fromNote(text: string): SessionPermit {
  const [key, id, leaseMs] = JSON.parse(text) as [string, string, number];
  return { key, id, leaseMs };
}
