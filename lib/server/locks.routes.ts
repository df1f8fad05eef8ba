import { isHungUp, isSent } from '../http/hang-ups.js';
import { HttpProblem } from '../http/http-problem.js';
import { requireKeys } from './api-keys.js';
import type { LockRefusal, Locks } from './locks.js';
import * as schemas from './schemas.js';
import { type ServerRoute, serverRoute } from './server-route.js';

const WHY_NOT: Record<LockRefusal, string> = {
  locked: 'At least one of the keys is locked by somebody else; none was locked',
  lost: 'At least one lock ended before all keys were locked; none was locked',
};

/** Locks of several keys with versions. */
export function lockRoutes(locks: Locks, defaultExpiryMs: number): ServerRoute[] {
  const lock = serverRoute({
    method: 'POST',
    path: '/lock',
    operationId: 'lock',
    summary:
      'Locks all keys or none; the same uid again extends its locks, and never shortens them. Locks belong to no session: `x-session-id` has no effect',
    role: 'use',
    body: schemas.lockBody,
    answers: { 200: { description: 'All are locked', schema: schemas.locked } },
    problems: [423],
    async handle({ response, access, body: { uid, keys, exp = defaultExpiryMs } }) {
      const wanted = [keys].flat();
      requireKeys(access, wanted);
      const isGone = (): boolean => isHungUp(response);
      const locked = await locks.lock({ name: access.name, uid }, wanted, exp, isGone);
      // Whoever is gone is not answered.
      if (locked === undefined) return undefined;
      if (typeof locked === 'string') {
        const error = WHY_NOT[locked];
        throw new HttpProblem(423, locked.toUpperCase(), error, { members: { error } });
      }
      response.once('close', () => {
        if (!isSent(response)) locked.undo();
      });
      return { status: 200, body: { tokens: locked.tokens } };
    },
  });

  const unlock = serverRoute({
    method: 'POST',
    path: '/unlock',
    operationId: 'unlock',
    summary: 'Unlocks what the uid holds in just these versions',
    role: 'use',
    body: schemas.unlockBody,
    answers: { 200: { description: 'What was unlocked', schema: schemas.unlocked } },
    async handle({ access, body: { uid, tokens } }) {
      requireKeys(
        access,
        tokens.map(({ key }) => key),
      );
      const unlocked = await locks.unlock({ name: access.name, uid }, tokens);
      return { status: 200, body: { unlocked } };
    },
  });

  const check = serverRoute({
    method: 'POST',
    path: '/check',
    operationId: 'check',
    summary: 'Whether any of the keys is locked',
    role: 'use',
    body: schemas.checkBody,
    answers: { 200: { description: 'The answer', schema: schemas.checked } },
    async handle({ access, body: { keys } }) {
      const wanted = [keys].flat();
      requireKeys(access, wanted);
      return { status: 200, body: { locked: await locks.areLocked(wanted) } };
    },
  });

  return [lock, unlock, check];
}
