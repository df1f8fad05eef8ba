/** When a call was sent by the local clock, and what the server's clock said when it ran. */
export interface Sample {
  sentAt: number;
  serverNow: number;
}

/** What the script is asked to do: see the scripts for codes, arguments and answers. */
export interface Request {
  /** Name of the semaphore's state in Redis. */
  readonly state: string;
  /** Its code and arguments. */
  readonly text: string;
  /** Arguments apart from the text: of a poll, whose number is not known before. */
  readonly list?: readonly string[] | undefined;
  /** Hears of the answer before the grants that came with it: they may be of what this took away. */
  readonly first?: ((answer: never) => void) | undefined;
  /** Hears that the fate of an attempt is unknown: it may be run until then, by the local clock, whatever is done meanwhile. */
  readonly doubted?: ((until: number) => void) | undefined;
}

/** A request, and who wants to know what comes of it: one of the two is called, once, and must not throw. */
export interface Operation extends Request {
  /** @param answer as the script says for the code */
  answered(answer: never, sample: Sample): void;
  failed(error: Error): void;
}

/**
 * Larger turns travel in parts: Redis does one while the answers to the one before are read. That matters for what
 * callers wait for; renewals go four times as many a part.
 */
const MAX_COST_A_CALL = 256;
/** A turn is divided for that reason alone when it costs so much. */
const COST_OF_TWO_CALLS = 128;
/** In Cluster, where a call may be sent on to another node, parts could overtake each other. */
const MAX_COST_A_SLOT = 4096;
const AWAITED = 'AR';
const AWAITED_COST = 4;
/** More would burden the stack of a call. */
const MAX_ARGUMENTS_A_CALL = 10_000;

/** Operations on single flights. What follows a look or a publication of the same key belongs to it: they are done together. */
const OF_FLIGHTS = 'SWX';

/**
 * Operations of one turn, in the parts in which they travel.
 * @param isAlone nothing else is on its way: in one part, Redis and this process would take turns
 */
export function inParts(group: Operation[], isCluster: boolean, isAlone: boolean): Operation[][] {
  if (group.length === 1) return [group];
  const mostCost = isCluster ? MAX_COST_A_SLOT : MAX_COST_A_CALL;
  const half = isAlone && !isCluster ? halfOf(group) : Infinity;
  const parts: Operation[][] = [];
  let first = 0;
  let cost = 0;
  let size = 0;
  for (let i = 0; i < group.length; i++) {
    const { state, text, list } = group[i] as Operation;
    const own = isOneOf(AWAITED, text) ? AWAITED_COST : 1;
    const length = list?.length ?? 0;
    const isFull =
      cost + own > mostCost ||
      size + length > MAX_ARGUMENTS_A_CALL ||
      // What is known of a semaphore is read once a part.
      (cost + own > half && state !== group[i - 1]?.state);
    if (isFull && i > first && !belongTogether(group[i - 1] as Operation, group[i] as Operation)) {
      parts.push(group.slice(first, i));
      first = i;
      cost = 0;
      size = 0;
    }
    cost += own;
    size += length + 1;
  }
  parts.push(first === 0 ? group : group.slice(first));
  return parts;
}

/** Others may be any number in a turn, which must not all travel in one call. */
function belongTogether(first: Operation, next: Operation): boolean {
  return first.state === next.state && isOneOf('SW', first.text) && isOneOf(AWAITED, next.text);
}

/** @returns Infinity when it is not worth two calls, or too much for one */
function halfOf(group: readonly Operation[]): number {
  const cost = group.length * AWAITED_COST;
  if (cost < COST_OF_TWO_CALLS || cost > MAX_COST_A_CALL) return Infinity;
  return Math.ceil(group.length / 2) * AWAITED_COST;
}

export function isAcquire({ text }: Request): boolean {
  return isOneOf('A', text);
}

export function isRelease({ text }: Request): boolean {
  return isOneOf('R', text);
}

export function isPoll({ text }: Request): boolean {
  return isOneOf('P', text);
}

export function isOfFlight({ text }: Request): boolean {
  return isOneOf(OF_FLIGHTS, text);
}

/** Whether the text's code, its first letter, is one of these. */
function isOneOf(codes: string, text: string): boolean {
  return codes.includes(text.charAt(0));
}
