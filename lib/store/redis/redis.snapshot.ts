import type { HolderSnapshot, SemaphoreSnapshot, WaiterSnapshot } from '../semaphore-store.js';
import { ENDLESS } from './redis.waiting.js';

/** What inspect.lua returns. */
export type InspectReply = [now: number, permits: number, holders: Field[], members: string[]];
type Field = string | number;

/** Fields of a holder in the reply. */
const HOLDER_FIELDS = 7;
const PLACES_PER_MS = 16;
const PLACES_PER_PRIORITY = 2 ** 34;

export function toSnapshot(
  key: string,
  [now, permits, fields, members]: InspectReply,
): SemaphoreSnapshot {
  const holders: HolderSnapshot[] = [];
  for (let i = 0; i < fields.length; i += HOLDER_FIELDS) {
    const holder = toHolder(fields.slice(i, i + HOLDER_FIELDS));
    if (holder.expiresAt > now) holders.push(holder);
  }
  holders.sort((a, b) => a.fencingToken - b.fencingToken);
  const waiters: WaiterSnapshot[] = [];
  for (let i = 0; i < members.length; i += 2) {
    waiters.push(toWaiter(members[i] as string, Number(members[i + 1])));
  }
  const held = holders.reduce((sum, { weight }) => sum + weight, 0);
  return { key, permits, held, available: Math.max(0, permits - held), holders, waiters };
}

function toHolder([id, expiry, weight, token, acquired, client, label]: Field[]): HolderSnapshot {
  return {
    id: String(id),
    weight: Number(weight),
    ...(label ? { label: String(label).slice(1) } : {}),
    client: String(client),
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
