import { z } from 'zod';
import {
  MAX_DURATION_MS,
  MAX_KEY_BYTES,
  MAX_LABEL_LENGTH,
  MAX_PRIORITY,
  PERMIT_ID,
} from '../limits.js';
import { isKey } from '../resolve-options.js';

/** Keys in one call of `/lock`, `/unlock` and `/check`. */
const MAX_KEYS = 100;

export const wholeNumber = (least: number) => z.int().min(least);
export const duration = (least: number) => z.number().min(least).max(MAX_DURATION_MS);
const unicode = (most: number) =>
  z
    .string()
    .max(most)
    .refine((value) => value.isWellFormed(), 'well-formed Unicode');
const text = (most: number) => unicode(most).min(1);
export const labelText = unicode(MAX_LABEL_LENGTH);

export const semaphoreKey = z
  .string()
  .min(1)
  .max(MAX_KEY_BYTES)
  .refine(isKey, `a key: well-formed Unicode of at most ${MAX_KEY_BYTES} bytes`)
  .meta({
    description: `The name of one semaphore, at most ${MAX_KEY_BYTES} bytes; URL-encoded in a path`,
  });

export const permitId = z.string().regex(PERMIT_ID);
const fencingToken = wholeNumber(0).meta({ description: 'Grows with every grant of the key' });
const expiresAt = z
  .number()
  .nullable()
  .meta({ description: 'Epoch milliseconds by the clock of the store; null: never' });
export const leaseMs = duration(1)
  .nullable()
  .meta({ description: 'Milliseconds until it ends without a renewal; null: it never ends' });

export const keyParams = z.object({ key: semaphoreKey });
export const permitParams = z.object({ key: semaphoreKey, id: permitId });

export const sessionHeaders = z.object({ 'x-session-id': z.string().min(1).max(64).optional() });

export const acquireHeaders = sessionHeaders.extend({
  prefer: z.string().max(200).optional().meta({
    description:
      '`wait=25`: answer within 25 seconds, with 202 when the permit is not granted by then. Needs a requestId',
  }),
});

export const acquireBody = z
  .strictObject({
    permits: wholeNumber(1).optional(),
    weight: wholeNumber(1).optional(),
    waitMs: duration(0).nullable().optional().meta({ description: 'null: wait for ever' }),
    maxWaiting: wholeNumber(0).nullable().optional().meta({ description: 'null: no bound' }),
    priority: wholeNumber(-MAX_PRIORITY).max(MAX_PRIORITY).optional(),
    leaseMs: leaseMs.optional(),
    holdAtLeastMs: duration(0).optional(),
    label: labelText.optional(),
    requestId: text(256).optional().meta({ description: 'The same again gives the same permit' }),
  })
  .default({});

export const grantedPermit = z.object({
  id: permitId,
  key: semaphoreKey,
  weight: wholeNumber(1),
  fencingToken,
  leaseMs,
  expiresAt,
});

export const stillWaiting = z.object({ requestId: z.string(), retryAfterMs: z.number() });

export const renewBody = z.strictObject({ leaseMs: leaseMs.optional() }).default({});
export const renewedPermit = z.object({ id: permitId, key: semaphoreKey, leaseMs, expiresAt });

/** Of a call without parameters. */
export const noQuery = z.strictObject({});

export const releaseQuery = z.strictObject({ force: z.enum(['true', 'false']).optional() });
export const releasedPermit = z.object({ outcome: z.enum(['released', 'expired']) });

const label = z.string().optional();
const client = z.string().meta({ description: 'The process that the store knows' });

export const snapshot = z.object({
  key: semaphoreKey,
  permits: wholeNumber(0),
  held: wholeNumber(0),
  available: wholeNumber(0),
  holders: z.array(
    z.object({
      id: permitId,
      weight: wholeNumber(0),
      label,
      client,
      fencingToken,
      acquiredAt: z.number(),
      expiresAt,
    }),
  ),
  waiters: z.array(
    z.object({
      id: permitId,
      weight: wholeNumber(0),
      priority: z.int(),
      label,
      client,
      enqueuedAt: z.number(),
    }),
  ),
});

export const listQuery = z.strictObject({
  pattern: z
    .string()
    .max(MAX_KEY_BYTES)
    .optional()
    .meta({ description: 'A glob: `*`, `?`, `[ab]`; empty: all' }),
  limit: z.coerce.number().int().min(1).max(10_000).default(1000),
});
export const keyList = z.object({
  keys: z.array(semaphoreKey),
  truncated: z.literal(true).optional().meta({ description: 'There are more than `limit`' }),
});

export const limitBody = z.strictObject({ permits: wholeNumber(1).nullable() });
export const limit = z.object({ key: semaphoreKey, permits: wholeNumber(1).nullable() });

const oneOrMoreKeys = z.union([semaphoreKey, z.array(semaphoreKey).min(1).max(MAX_KEYS)], {
  error: `a key, or 1 to ${MAX_KEYS} keys: each well-formed Unicode of 1 to ${MAX_KEY_BYTES} bytes`,
});
const version = wholeNumber(0).meta({ description: 'The fencing token of the lock' });
const lockToken = z.strictObject({ key: semaphoreKey, version });
const uid = text(256).meta({ description: 'Whose lock it is, chosen by the caller' });

export const lockBody = z.strictObject({
  uid,
  keys: oneOrMoreKeys,
  exp: duration(1).optional().meta({ description: 'Milliseconds until the locks end' }),
});
export const locked = z.object({ tokens: z.array(lockToken) });
export const unlockBody = z.strictObject({ uid, tokens: z.array(lockToken).max(MAX_KEYS) });
export const unlocked = z.object({ unlocked: z.array(semaphoreKey) });
export const checkBody = z.strictObject({ keys: oneOrMoreKeys });
export const checked = z.object({ locked: z.boolean() });

export const health = z.object({ status: z.literal('ok') });

export const problem = z.looseObject({
  statusCode: z.int(),
  code: z.string(),
  message: z.string(),
  details: z.array(z.object({ field: z.string(), rule: z.string() })).optional(),
});

export const retriableProblem = problem.extend({
  reason: z
    .enum(['busy', 'timeout', 'queue-full'])
    .optional()
    .meta({ description: 'Why there was no permit' }),
  retryAfterMs: wholeNumber(0).meta({ description: 'When a new try may succeed: an estimate' }),
});

export const lockedProblem = problem.extend({ error: z.string() });

export const unhealthy = retriableProblem.extend({ status: z.literal('unavailable') });
