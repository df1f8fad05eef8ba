import type { HolderSnapshot, SemaphoreSnapshot, WaiterSnapshot } from '../semaphore-store.js';
import { ENDLESS } from './redis.waiting.js';

/** What inspect.lua returns. */
export type InspectReply = [now: number, state: string, fields: string[], members: string[]];

/** Words of the state in front of its holder. */
const META_WORDS = 8;
const PLACES_PER_MS = 16;
const PLACES_PER_PRIORITY = 2 ** 34;

export function toSnapshot(
  key: string,
  [now, state, fields, members]: InspectReply,
): SemaphoreSnapshot {
  const meta = split(state, META_WORDS + 2);
  const permits = Number((meta[0] ?? '').replace('p', ''));
  const records: [id: string, record: string][] = [];
  const [id, record] = meta.slice(META_WORDS);
  if (id) records.push([id, record as string]);
  for (let i = 0; i < fields.length; i += 2) {
    const field = fields[i] as string;
    if (field.startsWith('@')) records.push([field.slice(1), fields[i + 1] as string]);
  }
  const holders = records
    .map(([id, record]) => toHolder(id, record))
    .filter(({ expiresAt }) => expiresAt > now);
  holders.sort((a, b) => a.fencingToken - b.fencingToken);
  const waiters: WaiterSnapshot[] = [];
  for (let i = 0; i < members.length; i += 2) {
    waiters.push(toWaiter(members[i] as string, Number(members[i + 1])));
  }
  const held = holders.reduce((sum, { weight }) => sum + weight, 0);
  return { key, permits, held, available: Math.max(0, permits - held), holders, waiters };
}

function toHolder(id: string, record: string): HolderSnapshot {
  const [expiry, weight, token, acquired, , client, label] = split(record, 7);
  return {
    id,
    weight: Number(weight),
    ...(label ? { label: label.slice(1) } : {}),
    client: client as string,
    fencingToken: Number(token),
    acquiredAt: Number(acquired),
    expiresAt: Number(expiry) >= ENDLESS ? Infinity : Number(expiry),
  };
}

function toWaiter(member: string, score: number): WaiterSnapshot {
  const [id, client, weight, , priority, label] = split(member, 6);
  const place = score + Number(priority) * PLACES_PER_PRIORITY;
  return {
    id: id as string,
    weight: Number(weight),
    priority: Number(priority),
    ...(label ? { label: label.slice(1) } : {}),
    client: client as string,
    enqueuedAt: Math.floor(place / PLACES_PER_MS),
  };
}

/** At spaces, into `parts`; the last, a label, may have spaces of its own. */
function split(text: string, parts: number): string[] {
  const words = text.split(' ');
  return [...words.slice(0, parts - 1), words.slice(parts - 1).join(' ')];
}
