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
/** In Cluster, where a call may be sent on to another node, parts could overtake each other. */
const MAX_COST_A_SLOT = 4096;
const AWAITED = 'AR';
const AWAITED_COST = 4;
/** More would burden the stack of a call. */
const MAX_ARGUMENTS_A_CALL = 10_000;

/** Operations on single flights. What follows one in its turn belongs to it: they are done together. */
const OF_FLIGHTS = 'SWX';

/** Operations of one turn, in the parts in which they travel. */
export function inParts(group: Operation[], isCluster: boolean): Operation[][] {
  const mostCost = isCluster ? MAX_COST_A_SLOT : MAX_COST_A_CALL;
  const parts: Operation[][] = [];
  let first = 0;
  let cost = 0;
  let size = 0;
  for (let i = 0; i < group.length; i++) {
    const { text, list } = group[i] as Operation;
    const own = isOneOf(AWAITED, text) ? AWAITED_COST : 1;
    const length = list?.length ?? 0;
    const isFull = cost + own > mostCost || size + length > MAX_ARGUMENTS_A_CALL;
    if (isFull && i > first && !isOfFlight(group[i - 1] as Operation)) {
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
