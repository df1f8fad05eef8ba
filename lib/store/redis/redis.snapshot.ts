import type { HolderSnapshot, StoreSnapshot, WaiterSnapshot } from '../semaphore-store.js';
import { ENDLESS, PLACES_PER_MS, PLACES_PER_PRIORITY } from './scripts/embedded.js';

/** What inspect.lua returns. */
type InspectReply = [
  now: number,
  permits: number,
  holders: Field[],
  members: string[],
  cursor: string,
  pinned: number,
  silent: string[],
];
type Field = string | number;

/** Runs inspect.lua, with its arguments. */
type ReadPage = (from: string, cursor: string, count: number) => Promise<unknown>;

/** How many holders and how many waiters one call looks at, so that none holds up Redis. */
const PAGE = 500;
const NONE = '';
const FIRST_WAITER = '-inf';
const FIRST_HOLDER = '0';

/** Fields of a holder in the reply. */
const HOLDER_FIELDS = 7;

/**
 * One call, and so one moment, for up to 500 holders and 500 waiters. More are read page by page, waiters first: who
 * becomes a holder meanwhile is met again among the holders, and nobody is missed who is there all the time.
 */
export async function readSnapshot(key: string, read: ReadPage): Promise<StoreSnapshot> {
  const pages = new Pages(key);
  let { score, cursor } = pages.add(await read(FIRST_WAITER, FIRST_HOLDER, PAGE));
  if (score === NONE && cursor === FIRST_HOLDER) return pages.toSnapshot();
  while (score !== NONE) ({ score } = pages.add(await read(score, NONE, PAGE)));
  pages.forgetHolders();
  cursor = FIRST_HOLDER;
  do {
    ({ cursor } = pages.add(await read(NONE, cursor, PAGE)));
  } while (cursor !== FIRST_HOLDER);
  return pages.toSnapshot();
}

class Pages {
  private now = 0;
  private permits = 0;
  private pinned = false;
  private readonly holders = new Map<string, HolderSnapshot>();
  private readonly waiters = new Map<string, WaiterSnapshot>();
  private readonly silent = new Set<string>();

  constructor(private readonly key: string) {}

  /** @returns where the next page begins */
  add(page: unknown): { score: string; cursor: string } {
    const [now, permits, fields, members, cursor, pinned, silent] = page as InspectReply;
    this.now = now;
    this.permits = permits;
    this.pinned = pinned === 1;
    for (let i = 0; i < fields.length; i += HOLDER_FIELDS) {
      const holder = toHolder(fields.slice(i, i + HOLDER_FIELDS));
      if (holder.expiresAt > now) this.holders.set(holder.id, holder);
    }
    for (const client of silent) this.silent.add(client);
    const known = this.waiters.size;
    for (let i = 0; i < members.length; i += 2) {
      const waiter = toWaiter(members[i] as string, Number(members[i + 1]));
      this.waiters.set(waiter.id, waiter);
    }
    // The last one comes again with the next page, as another one might have its score.
    const isLast = members.length < 2 * PAGE || this.waiters.size === known;
    return { score: isLast ? NONE : (members.at(-1) as string), cursor };
  }

  forgetHolders(): void {
    this.holders.clear();
  }

  toSnapshot(): StoreSnapshot {
    const { key, permits, now, pinned } = this;
    const holders = [...this.holders.values()];
    holders.sort((a, b) => a.fencingToken - b.fencingToken);
    const waiters = [...this.waiters.values()].filter(
      ({ id, client }) => !this.holders.has(id) && !this.silent.has(client),
    );
    const held = holders.reduce((sum, { weight }) => sum + weight, 0);
    const available = Math.max(0, permits - held);
    return { key, permits, held, available, holders, waiters, now, pinned };
  }
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
