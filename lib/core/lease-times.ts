import type { Clock } from '../store/clock.js';
import type { HeldPermit } from './held-permit.js';

const TIMER_SLACK_MS = 5;

const MAX_RETRY_MS = 1000;

/** After the store was away, each process asks for its permits at some moment within this time. */
export const CONFIRM_WITHIN_MS = 500;

/** Of a lease without an end nothing tells a holder that the store has forgotten it: it asks so often, as one of 30 s is renewed. */
const ASK_AFTER_ENDLESS_MS = 10_000;

/**
 * The time at which a permit counts as lost, so that its holder knows before the store gives it to another, though a timer
 * may fire late: at most a twentieth of what is left before the end.
 */
export function safely(
  deadline: number,
  now: number,
  { timerSlackMs = TIMER_SLACK_MS }: Clock,
): number {
  return deadline - Math.min(timerSlackMs, Math.max(0, deadline - now) / 20);
}

/** Whether a permit is renewed by and by. */
export function isKeptAlive({ renew, leaseMs }: HeldPermit['options']): boolean {
  return renew && leaseMs !== Infinity;
}

/** When to renew next, if nothing goes wrong; Infinity: never. */
export function nextRenewal(permit: HeldPermit, now: number): number {
  const { leaseMs, maxHoldMs } = permit.options;
  const remaining = permit.deadline - now;
  // A provisional one is claimed within the turn of the event loop.
  if (permit.provisional) return Infinity;
  if (isEndless(permit)) return onGrid(now + ASK_AFTER_ENDLESS_MS, ASK_AFTER_ENDLESS_MS / 4, now);
  if (!isKeptAlive(permit.options)) return Infinity;
  // After renew(ms) the lease may be longer or shorter than the one it is kept at.
  const due = Math.max(permit.deadline - (leaseMs * 2) / 3, now + remaining / 3);
  const renewAt = onGrid(due, leaseMs / 6, now);
  return renewAt - permit.keptSince <= maxHoldMs ? renewAt : Infinity;
}

/** Whether nothing ends it: one that was renewed for a while has an end. */
function isEndless({ deadline, options }: HeldPermit): boolean {
  return options.leaseMs === Infinity && deadline === Infinity;
}

/** Whether it is to stay held until it is released. */
function isToStay(permit: HeldPermit, now: number): boolean {
  const { keptSince, options } = permit;
  return isKeptAlive(options) ? now - keptSince <= options.maxHoldMs : isEndless(permit);
}

/** For how long to renew a permit that the store may have forgotten, in order to know: never for longer than would have been. */
export function confirmedFor(permit: HeldPermit, now: number): number {
  const { leaseMs } = permit.options;
  const remaining = permit.deadline - now;
  // A provisional one has not begun its lease yet.
  const isRenewed = permit.provisional || (remaining <= leaseMs && isToStay(permit, now));
  return isRenewed ? leaseMs : Math.max(1, Math.floor(remaining));
}

/** When to try again after a renewal that failed. */
export function retryRenewal(permit: HeldPermit, now: number): number {
  if (!permit.provisional && !isToStay(permit, now)) return Infinity;
  const delay = Math.min(MAX_RETRY_MS, permit.options.leaseMs / 10);
  return onGrid(now + delay, delay / 2, now);
}

/** Permits that are due at about the same time are due at the same time, so that their renewals travel together. */
function onGrid(time: number, step: number, now: number): number {
  const earlier = Math.floor(time / step) * step;
  return earlier > now ? earlier : time;
}
