import fc from 'fast-check';
import type { Peer } from '../../lib/testing/conformance/peer.js';
import type { AcquireRequest } from '../../lib/store/semaphore-store.js';
import type { SemaphoreModel } from './semaphore-model.js';

/** One key: what it should be, and whose permits it knows. */
export interface ModelKey {
  key: string;
  model: SemaphoreModel;
  requests: { request: AcquireRequest; peer: number }[];
}

/** One operation of one process: what the model says of it, and how the store is asked. */
export type Operation = (
  keys: readonly ModelKey[],
  peer: number,
) => { what: string; expected: unknown; send: (peer: Peer) => Promise<unknown> } | undefined;

export interface Times {
  leases: number[];
  keeps: number[];
}

/** With the same number again and again the operation finds the same key. */
const keyed =
  (which: number, act: (key: ModelKey, peer: number) => ReturnType<Operation>): Operation =>
  (keys, peer) => {
    const key = keys[which % keys.length];
    return key && act(key, peer);
  };

/** Finds one of the requests that the key has seen. */
const known = (
  which: number,
  pick: number,
  act: (key: ModelKey, request: AcquireRequest, isOwn: boolean) => ReturnType<Operation>,
): Operation =>
  keyed(which, (key, peer) => {
    const found = key.requests.at(-1 - (pick % Math.max(1, key.requests.length)));
    return found && act(key, found.request, found.peer === peer);
  });

let ids = 0;

export function operations({ leases, keeps }: Times): fc.Arbitrary<Operation> {
  const which = fc.nat(1);
  const pick = fc.nat(7);
  const lease = fc.constantFrom(...leases);
  const wish = fc.record({
    permits: fc.constantFrom(3, 3, 3, 1, 5),
    weight: fc.constantFrom(1, 1, 1, 2, 3),
    priority: fc.constantFrom(0, 0, 0, 1, -1),
    leaseMs: lease,
    wait: fc.constantFrom(true, true, true, false),
    maxWaiting: fc.constantFrom(Infinity, Infinity, 0, 2, 4),
  });

  const acquire = fc.tuple(which, wish).map(([key, wanted]) =>
    keyed(key, ({ key: name, model, requests }, peer) => {
      const request = { ...wanted, key: name, id: `model-${++ids}` };
      requests.push({ request, peer });
      const expected = model.acquire(request);
      return {
        what: JSON.stringify(request),
        expected,
        send: async ({ session }) => (await session.acquire(request)).status,
      };
    }),
  );
  const again = fc.tuple(which, pick).map(([key, one]) =>
    known(key, one, ({ model }, request, isOwn) => {
      if (!isOwn || !model.isLive(request.id)) return undefined;
      return {
        what: `${request.id} again`,
        expected: model.acquire(request),
        send: async ({ session }) => (await session.acquire(request)).status,
      };
    }),
  );
  const release = fc.tuple(which, pick, fc.constantFrom(0, 0, 0, ...keeps)).map(([k, one, keep]) =>
    known(k, one, ({ key, model }, { id }, isOwn) => {
      if (isOwn && !model.isKnown(id)) return undefined;
      return {
        what: `release ${id} ${keep}`,
        expected: model.release(id, keep),
        send: ({ session }) => session.release(key, id, keep),
      };
    }),
  );
  const cancel = fc.tuple(which, pick).map(([k, one]) =>
    known(k, one, ({ key, model }, { id }, isOwn) => {
      if (!isOwn) return undefined;
      model.cancel(id);
      return {
        what: `cancel ${id}`,
        expected: undefined,
        send: ({ session }) => session.cancel(key, id),
      };
    }),
  );
  const renew = fc.tuple(which, pick, lease).map(([k, one, leaseMs]) =>
    known(k, one, ({ key, model }, { id }) => ({
      what: `renew ${id} ${leaseMs}`,
      expected: model.renew(id, leaseMs),
      send: async ({ session }) => (await session.renew(key, id, leaseMs)) !== null,
    })),
  );
  const force = fc.tuple(which, pick).map(([k, one]) =>
    known(k, one, ({ key, model }, { id }) => ({
      what: `force ${id}`,
      expected: model.force(id),
      send: ({ session }) => session.forceRelease(key, id),
    })),
  );
  const setPermits = fc.tuple(which, fc.constantFrom(null, null, 1, 2, 4)).map(([k, permits]) =>
    keyed(k, ({ key, model }) => {
      model.setPermits(permits);
      return {
        what: `pin ${key} ${permits}`,
        expected: undefined,
        send: ({ session }) => session.setPermits(key, permits),
      };
    }),
  );
  return fc.oneof(
    { weight: 8, arbitrary: acquire },
    { weight: 6, arbitrary: release },
    { weight: 2, arbitrary: cancel },
    { weight: 1, arbitrary: again },
    { weight: 2, arbitrary: renew },
    { weight: 1, arbitrary: force },
    { weight: 1, arbitrary: setPermits },
  );
}
