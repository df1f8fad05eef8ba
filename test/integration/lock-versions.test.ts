import { describe, expect, test } from '@jest/globals';
import { MemorySemaphoreStore } from 'nestjs-semaphore';
import { VirtualClock } from 'nestjs-semaphore/testing';
import { type Locked, type LockRefusal, Locks } from '../../lib/server/locks.js';
import { internalsOf } from '../../lib/service-internals.js';
import { pollUntil } from '../support/redis-admin.js';
import { useRedis } from '../support/redis-server.js';
import { nextEvent, Semaphores } from '../support/semaphores.js';

const OWNER = { name: '', uid: 'uid' };

const redis = useRedis();

async function lock(
  locks: Locks,
  uid: string,
  keys: string[],
): Promise<Locked | LockRefusal | undefined> {
  const nobodyHangsUp = (): boolean => false;
  return locks.lock({ name: '', uid }, keys, 60_000, nobodyHangsUp);
}

async function mustLock(locks: Locks, keys: string[]): Promise<Locked> {
  const locked = await lock(locks, 'uid', keys);
  if (typeof locked !== 'object') throw new Error(`not locked: ${locked}`);
  return locked;
}

const stores = [
  { store: 'memory', options: () => ({ store: new MemorySemaphoreStore() }) },
  { store: 'Redis', options: () => ({ redis: redis.url }) },
];

describe.each(stores)('locks through two servers on $store', ({ options }) => {
  test('who unlocks one version never unlocks the next one, that the same uid got meanwhile', async () => {
    await using services = new Semaphores(options());
    const [here, there] = [services.open(), services.open()];
    const [locks, others] = [new Locks(here), new Locks(there)];
    const first = await mustLock(locks, ['k']);
    const internals = internalsOf(here);
    const look = internals.look.bind(internals);
    let second: Locked | undefined;
    internals.look = async (key) => {
      const seen = await look(key);
      internals.look = look;
      await here.forceRelease(key, seen.holders[0]?.id ?? '');
      second = await mustLock(others, ['k']);
      return seen;
    };
    expect(await locks.unlock(OWNER, first.tokens)).toEqual([]);
    expect(await locks.areLocked(['k'])).toBe(true);
    expect(await locks.unlock(OWNER, second?.tokens ?? [])).toEqual(['k']);
    expect(await locks.areLocked(['k'])).toBe(false);
  });

  test('the same uid extends its lock at either server, and keeps the version', async () => {
    await using services = new Semaphores(options());
    const [locks, others] = [new Locks(services.open()), new Locks(services.open())];
    const first = await mustLock(locks, ['a', 'b']);
    const second = await mustLock(others, ['b', 'a']);
    expect(second.tokens).toEqual(first.tokens.toReversed());
    // The answer of the first reaches nobody, after the second was told.
    first.undo();
    expect(await lock(others, 'another', ['a'])).toBe('locked');
    expect(await others.unlock(OWNER, second.tokens)).toEqual(['b', 'a']);
  });

  test('who hangs up gives back what the call has locked, and keeps what it held before', async () => {
    await using services = new Semaphores(options());
    const locks = new Locks(services.open());
    const { tokens } = await mustLock(locks, ['a']);
    let asked = 0;
    const hangsUp = (): boolean => asked++ > 0;
    expect(await locks.lock(OWNER, ['a', 'b'], 60_000, hangsUp)).toBeUndefined();
    await pollUntil('the other one is free', async () => !(await locks.areLocked(['b'])));
    expect(await locks.unlock(OWNER, tokens)).toEqual(['a']);
  });

  test('what is free again before its lock is looked at is locked', async () => {
    await using services = new Semaphores(options());
    const [here, there] = [services.open(), services.open()];
    const others = new Locks(there);
    const { tokens } = await mustLock(others, ['k']);
    const internals = internalsOf(here);
    const look = internals.look.bind(internals);
    internals.look = async (key) => {
      internals.look = look;
      await others.unlock(OWNER, tokens);
      return look(key);
    };
    expect(await lock(new Locks(here), 'another', ['k'])).toMatchObject({ tokens: [{ key: 'k' }] });
  });

  test('a lock that ends while its uid asks again is taken anew, and given back with its call', async () => {
    await using services = new Semaphores(options());
    const semaphores = services.open();
    const locks = new Locks(semaphores);
    await mustLock(locks, ['k']);
    const internals = internalsOf(semaphores);
    const look = internals.look.bind(internals);
    internals.look = async (key) => {
      internals.look = look;
      const seen = await look(key);
      await semaphores.forceRelease(key, seen.holders[0]?.id ?? '');
      return seen;
    };
    const { undo } = await mustLock(locks, ['k']);
    const isReleased = nextEvent(semaphores, 'released');
    undo();
    expect(await isReleased).toMatchObject({ key: 'k' });
  });

  test('who finds that a key was locked since it was looked at keeps none', async () => {
    await using services = new Semaphores(options());
    const [here, there] = [services.open(), services.open()];
    const internals = internalsOf(here);
    const look = internals.look.bind(internals);
    internals.look = async (key) => {
      const seen = await look(key);
      if (key === 'b') await mustLock(new Locks(there), ['b']);
      return seen;
    };
    const isReleased = nextEvent(here, 'released');
    expect(await lock(new Locks(here), 'another', ['a', 'b'])).toBe('locked');
    expect(await isReleased).toMatchObject({ key: 'a' });
  });
});

test('a call that lost a lock before it had all begins anew', async () => {
  await using services = new Semaphores({});
  const semaphores = services.open();
  const { permitsById } = internalsOf(semaphores);
  const renew = permitsById.renew.bind(permitsById);
  permitsById.renew = async (key, id, leaseMs) => {
    permitsById.renew = renew;
    await semaphores.forceRelease(key, id);
    return renew(key, id, leaseMs);
  };
  const locks = new Locks(semaphores);
  const { tokens } = await mustLock(locks, ['a', 'b']);
  expect(await locks.unlock(OWNER, tokens)).toEqual(['a', 'b']);
});

test('a call that is taken back takes nothing from the next one of its uid', async () => {
  await using services = new Semaphores({});
  const locks = new Locks(services.open());
  let asked = 0;
  const hangsUp = (): boolean => asked++ > 0;
  const [first, { tokens }] = await Promise.all([
    locks.lock(OWNER, ['a', 'b'], 60_000, hangsUp),
    mustLock(locks, ['a', 'b']),
  ]);
  expect(first).toBeUndefined();
  expect(await locks.unlock(OWNER, tokens)).toEqual(['a', 'b']);
});

test('a call that failed keeps nothing from the next one of its uid', async () => {
  await using services = new Semaphores({});
  const semaphores = services.open();
  const locks = new Locks(semaphores);
  const internals = internalsOf(semaphores);
  const look = internals.look.bind(internals);
  internals.look = async () => {
    internals.look = look;
    throw new Error('away');
  };
  const keys = ['a', 'b'];
  const [first, second] = await Promise.allSettled([mustLock(locks, keys), mustLock(locks, keys)]);
  expect([first.status, second.status]).toEqual(['rejected', 'fulfilled']);
  expect(locks['turns'].size).toBe(0);
});

test('many keys are locked though that takes longer than the lease of a few', async () => {
  const clock = new VirtualClock();
  await using services = new Semaphores({ store: new MemorySemaphoreStore({ clock }) });
  const semaphores = services.open();
  const { permitsById } = internalsOf(semaphores);
  const acquire = permitsById.acquire.bind(permitsById);
  permitsById.acquire = async (...wish) => {
    await clock.advance(200);
    return acquire(...wish);
  };
  const keys = Array.from({ length: 30 }, (_, i) => `k${i}`);
  const { tokens } = await mustLock(new Locks(semaphores), keys);
  expect(tokens.map(({ key }) => key)).toEqual(keys);
});
