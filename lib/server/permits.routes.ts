import type { z } from 'zod';
import type { UnkeptGrant } from '../core/unkept-permit.js';
import { hangUpsRead } from '../http/hang-ups.js';
import { HttpProblem } from '../http/http-problem.js';
import { PermitLostError } from '../semaphore.errors.js';
import { type ResolvedOptions, resolveOptions } from '../resolve-options.js';
import type { SemaphoreService } from '../semaphore.service.js';
import { internalsOf } from '../service-internals.js';
import { requireAdmin } from './api-keys.js';
import { holdAtLeastOf, permitIdOf } from './permit-ids.js';
import type { Attendance, PermitWaits } from './permit-waits.js';
import { invalidRequest } from './problems.js';
import type { Quota } from './quota.js';
import * as schemas from './schemas.js';
import { type Answer, type ServerRoute, serverRoute } from './server-route.js';
import type { Session } from './session.js';
import type { SessionPermit } from './session-notes.js';
import type { Sessions } from './sessions.js';

interface PermitParts {
  semaphores: SemaphoreService;
  waits: PermitWaits;
  sessions: Sessions;
  openWaits: Quota;
}

/** Acquire, renew and release one permit. */
export function permitRoutes({
  semaphores,
  waits,
  sessions,
  openWaits,
}: PermitParts): ServerRoute[] {
  const internals = internalsOf(semaphores);
  const permits = internals.permitsById;

  const acquire = serverRoute({
    method: 'POST',
    path: '/v1/semaphores/{key}/permits',
    operationId: 'acquirePermit',
    summary: 'Takes a permit, as soon as one is free',
    role: 'use',
    params: schemas.keyParams,
    headers: schemas.acquireHeaders,
    body: schemas.acquireBody,
    answers: {
      200: {
        description: 'The permit that this requestId got before',
        schema: schemas.grantedPermit,
      },
      201: { description: 'A permit', schema: schemas.grantedPermit },
      202: {
        description: 'Still waiting: ask again, the place is kept',
        schema: schemas.stillWaiting,
      },
    },
    problems: [404, 410, 429],
    async handle({ response, access, params: { key }, headers, body }) {
      const { requestId, ...wanted } = body;
      const postponeMs = preferredWaitMs(headers.prefer, requestId);
      const sessionId = headers['x-session-id'];
      const session = sessionId === undefined ? undefined : sessions.find(sessionId, access);
      const options = resolve(wanted, session);
      const id = permitIdOf(access.name, key, requestId, options.holdAtLeastMs);
      const wish = { key, id, options, isShared: requestId !== undefined };
      const attendance = waits.attend(wish, response, () => openWaits.enter(access.name));
      const stopListening = session?.onEnd(() => attendance.abandon());
      try {
        const grant = await (postponeMs === Infinity
          ? attendance.granted
          : grantedWithin(attendance, postponeMs));
        if (grant === undefined) {
          return { status: 202, body: { requestId, retryAfterMs: 0 } };
        }
        const { leaseMs } = options;
        if (session !== undefined) await keepIn(session, { key, id, leaseMs }, grant);
        // Whoever is known to be gone is not answered: then the permit is taken back.
        await hangUpsRead();
        const isNew = attendance.answer() && !grant.again;
        const { weight, fencingToken, expiresAt } = grant;
        const figures = isNew ? { weight, leaseMs } : await heldFigures(key, id, options);
        return {
          status: isNew ? 201 : 200,
          body: { id, key, ...figures, fencingToken, expiresAt },
        };
      } finally {
        stopListening?.();
      }
    },
  });

  async function keepIn(session: Session, permit: SessionPermit, grant: UnkeptGrant) {
    let isKept = false;
    try {
      isKept = await session.add(permit, grant.deadline);
    } finally {
      // What it held before it was asked for now has reached somebody then.
      if (!isKept && !grant.again) permits.takeBack(permit.key, permit.id);
    }
    if (!isKept) throw new HttpProblem(404, 'SESSION_UNKNOWN', 'The session has ended');
  }

  /** Weight and lease of a permit that was granted to an earlier request, which may have asked for something else. */
  async function heldFigures(key: string, id: string, wanted: ResolvedOptions) {
    const held = await findHeld(key, id);
    if (held === undefined) return { weight: wanted.weight, leaseMs: wanted.leaseMs };
    const { weight, acquiredAt, expiresAt, leftMs } = held;
    // Nobody knows when it was renewed: its lease is no shorter than what is left of it, and no longer than all of it.
    const leaseMs = Math.min(Math.max(wanted.leaseMs, leftMs), expiresAt - acquiredAt);
    return { weight, leaseMs: Math.round(leaseMs) };
  }

  /** @returns undefined when it is not held */
  async function findHeld(key: string, id: string) {
    const { holders, now } = await internals.look(key);
    const held = holders.find((holder) => holder.id === id);
    return held && { ...held, leftMs: held.expiresAt - now };
  }

  function resolve(wanted: WantedOptions, session: Session | undefined): ResolvedOptions {
    const options = internals.resolveUnkept({
      ...wanted,
      waitMs: fromJson(wanted.waitMs),
      maxWaiting: fromJson(wanted.maxWaiting),
      leaseMs: fromJson(wanted.leaseMs),
    });
    if (session !== undefined) options.leaseMs = session.leaseFor(options.leaseMs);
    return options;
  }

  const renew = serverRoute({
    method: 'PUT',
    path: '/v1/semaphores/{key}/permits/{id}',
    operationId: 'renewPermit',
    summary:
      'Makes the lease of a permit longer; a permit of a session keeps the lease that its session gives it',
    role: 'use',
    params: schemas.permitParams,
    body: schemas.renewBody,
    answers: { 200: { description: 'Renewed', schema: schemas.renewedPermit } },
    problems: [410],
    async handle({ params: { key, id }, body }) {
      const wanted = resolveOptions(semaphores.defaults, { leaseMs: fromJson(body.leaseMs) });
      // Its stream alone says how long a session's permit lives.
      const lease = await prolong(key, id, sessions.leaseOf(key, id) ?? wanted.leaseMs);
      if (lease === undefined) {
        sessions.drop(key, id);
        throw new PermitLostError(key, id, 'expired');
      }
      return { status: 200, body: { id, key, leaseMs: lease.leftMs, expiresAt: lease.expiresAt } };
    },
  });

  /** @returns undefined when it is not held any more */
  async function prolong(key: string, id: string, leaseMs: number | 'as it is') {
    if (leaseMs === 'as it is') return findHeld(key, id);
    const lease = await permits.renew(key, id, leaseMs);
    return lease === null ? undefined : { ...lease, leftMs: leaseMs };
  }

  const release = serverRoute({
    method: 'DELETE',
    path: '/v1/semaphores/{key}/permits/{id}',
    operationId: 'releasePermit',
    summary: 'Gives a permit back; with `force` (admin) whoever holds it, or waits for it',
    role: 'use',
    params: schemas.permitParams,
    query: schemas.releaseQuery,
    answers: { 200: { description: 'What became of it', schema: schemas.releasedPermit } },
    async handle({ access, params: { key, id }, query }): Promise<Answer> {
      const isForced = query.force === 'true';
      if (isForced) requireAdmin(access);
      // Its session hears of a forced release from the store, or, at another server than the one that granted it, when it renews.
      else sessions.drop(key, id);
      const outcome = isForced
        ? (await semaphores.forceRelease(key, id)) && 'released'
        : await permits.release(key, id, holdAtLeastOf(id));
      return { status: 200, body: { outcome: outcome || 'expired' } };
    },
  });

  return [acquire, renew, release];
}

type WantedOptions = Omit<z.output<typeof schemas.acquireBody>, 'requestId'>;

/** `Prefer: wait=25` (RFC 7240). */
function preferredWaitMs(prefer: string | undefined, requestId: string | undefined): number {
  const seconds = /(?:^|[,;\s])wait\s*=\s*("?)(\d{1,6})\1(?:$|[,;\s])/i.exec(prefer ?? '')?.[2];
  if (seconds === undefined) return Infinity;
  if (requestId !== undefined) return Number(seconds) * 1000;
  throw invalidRequest([{ field: 'requestId', rule: 'given with `Prefer: wait`, to ask again' }]);
}

/** @returns undefined when the time was up first */
async function grantedWithin(attendance: Attendance, ms: number) {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => {
      attendance.postpone();
      resolve(undefined);
    }, ms);
    timer.unref();
  });
  return Promise.race([attendance.granted, timeout]).finally(() => clearTimeout(timer));
}

/** JSON knows no Infinity: null stands for it. */
function fromJson(value: number | null | undefined): number | undefined {
  return value === null ? Infinity : value;
}
