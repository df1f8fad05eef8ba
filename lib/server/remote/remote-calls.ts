import { z } from 'zod';
import { MAX_PRIORITY } from '../../limits.js';
import { SemaphoreError, StoreUnavailableError } from '../../semaphore.errors.js';
import {
  acquireReplyToWire,
  fromWire,
  leaseToWire,
  MAX_CALLS,
  MAX_SHORT_RESULT,
  type WireCall,
  type WireError,
  type WireLook,
  type WireResult,
} from '../../store/remote/wire.js';
import type { StoreSession } from '../../store/semaphore-store.js';
import type { FlightLook, SingleFlightStore } from '../../store/single-flight-store.js';
import type { Access } from '../api-keys.js';
import { duration, labelText, leaseMs, permitId, semaphoreKey, wholeNumber } from '../schemas.js';
import type { HostedSession } from './hosted-session.js';
import { Inspections } from './inspections.js';

const key = semaphoreKey;
const permit = { key, id: permitId };
const publication = {
  key,
  permitId,
  payload: z
    .string()
    .regex(/^[A-Za-z]/)
    .meta({ examples: ['v"a result"'] }),
  freshMs: duration(0),
  staleMs: duration(0),
};

const wireCall: z.ZodType<WireCall> = z.discriminatedUnion('op', [
  z.strictObject({
    op: z.literal('acquire'),
    ...permit,
    permits: wholeNumber(1),
    weight: wholeNumber(1),
    priority: wholeNumber(-MAX_PRIORITY).max(MAX_PRIORITY),
    leaseMs,
    wait: z.boolean(),
    maxWaiting: wholeNumber(0).nullable(),
    label: labelText.optional(),
  }),
  z.strictObject({ op: z.literal('cancel'), ...permit }),
  z.strictObject({ op: z.literal('forceRelease'), ...permit, onlyWaiting: z.boolean() }),
  z.strictObject({
    op: z.literal('release'),
    ...permit,
    holdAtLeastMs: duration(0),
    lastToken: wholeNumber(0),
  }),
  z.strictObject({ op: z.literal('renew'), ...permit, leaseMs }),
  z.strictObject({ op: z.literal('inspect'), key }),
  z.strictObject({ op: z.literal('setPermits'), key, permits: wholeNumber(1).nullable() }),
  z.strictObject({ op: z.literal('look'), key, seen: wholeNumber(0).nullable() }),
  z.strictObject({ op: z.literal('publish'), ...publication }),
  z.strictObject({ op: z.literal('forget'), key }),
]);

/** The body of a POST of a long result. */
export const resultBody = z.strictObject(publication);

/** The body of a POST of calls. */
export const callsBody = z.strictObject({
  attempt: wholeNumber(1).optional().meta({
    description:
      'Grows with every request of the session that is sent, also again: 409 for one that comes after a later one',
  }),
  calls: z.array(wireCall).max(MAX_CALLS + 1),
});

/**
 * Does all calls, in their order: each begins before the one before it has an answer, so that they travel on together.
 * One that fails fails alone. Inspections may have to wait for each other, and what they answer together is bounded.
 */
export function runCalls(
  calls: readonly WireCall[],
  session: HostedSession,
  access: Access,
): Promise<WireResult[]> {
  const inspections = new Inspections(session.store);
  return Promise.all(
    calls.map(async (call): Promise<WireResult> => {
      const refusal = refuse(call, session, access);
      if (refusal !== undefined) return refusal;
      try {
        return { value: await run(call, session, inspections) };
      } catch (error) {
        return { error: toWireError(error) };
      }
    }),
  );
}

function refuse(call: WireCall, session: HostedSession, access: Access): WireResult | undefined {
  if (!access.mayUse(call.key)) {
    return refused('FORBIDDEN_KEY', 'The API key may not use this key');
  }
  const isForAdmins = call.op === 'setPermits' || call.op === 'forceRelease';
  if (isForAdmins && !access.isAdmin) {
    return refused('FORBIDDEN_ROLE', 'The API key is not one of an admin');
  }
  if (call.op === 'acquire' && !session.hasRoom(call.id)) {
    return refused('TOO_MANY_PERMITS', 'The session waits for and holds as much as it may');
  }
  return undefined;
}

function refused(code: string, message: string): WireResult {
  return { error: { code, message, nothingDone: true } };
}

async function run(
  call: WireCall,
  session: HostedSession,
  inspections: Inspections,
): Promise<unknown> {
  if (call.op !== 'inspect') inspections.forget(call.key);
  switch (call.op) {
    case 'acquire': {
      const { op: _, ...wanted } = call;
      const [leaseMs, maxWaiting] = [fromWire(call.leaseMs), fromWire(call.maxWaiting)];
      return acquireReplyToWire(await session.acquire({ ...wanted, leaseMs, maxWaiting }));
    }
    case 'cancel':
      return session.cancel(call.key, call.id).then(() => null);
    case 'release':
      return session.release(call.key, call.id, call.holdAtLeastMs, call.lastToken);
    case 'renew': {
      const lease = await session.renew(call.key, call.id, fromWire(call.leaseMs));
      return lease && leaseToWire(lease);
    }
    case 'inspect':
      return inspections.inspect(call.key);
    case 'setPermits':
      return session.store.setPermits(call.key, call.permits).then(() => null);
    case 'forceRelease':
      return session.store.forceRelease(call.key, call.id, call.onlyWaiting);
    case 'look':
      return shortened(
        await flightsOf(session.store, call.key).look(call.key, call.seen ?? undefined),
      );
    case 'publish': {
      const { op: _, key, ...rest } = call;
      return flightsOf(session.store, key).publish(key, rest);
    }
    case 'forget':
      return flightsOf(session.store, call.key)
        .forget(call.key)
        .then(() => null);
  }
}

/** A POST may look at many results. */
function shortened(look: FlightLook): WireLook {
  if (look.payload.length <= MAX_SHORT_RESULT) return look;
  return { ...look, payload: '', isLong: true };
}

/** @throws {StoreUnavailableError} */
export function flightsOf({ flights }: StoreSession, key: string): SingleFlightStore {
  if (flights !== undefined) return flights;
  throw new StoreUnavailableError(
    'the store of the server can do no single flight',
    key,
    undefined,
    true,
  );
}

function toWireError(error: unknown): WireError {
  if (error instanceof StoreUnavailableError) {
    const { code, detail, nothingDone } = error;
    return { code, message: detail, nothingDone };
  }
  const code = error instanceof SemaphoreError ? error.code : 'INTERNAL_ERROR';
  return { code, message: 'the server could not do it', nothingDone: false };
}
