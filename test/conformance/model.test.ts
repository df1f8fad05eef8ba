import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, it } from '@jest/globals';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { VirtualClock } from 'nestjs-semaphore/testing';
import { MemorySemaphoreStore } from '../../lib/store/memory/memory.semaphore-store.js';
import { RedisSemaphoreStore } from '../../lib/store/redis/redis.semaphore-store.js';
import type { Grant, SemaphoreStore } from '../../lib/store/semaphore-store.js';
import { Peer } from '../../lib/testing/conformance/peer.js';
import { useRedis } from '../support/redis-server.js';
import { uniquePrefix } from '../support/unique-prefix.js';
import { type ModelKey, type Operation, operations, type Times } from './model-operations.js';
import { SemaphoreModel } from './semaphore-model.js';

interface World {
  keys: ModelKey[];
}

interface Real {
  peers: Peer[];
  advance: (ms: number) => Promise<void>;
}

/** Claims what it is granted, as the library does. */
class ClaimingPeer extends Peer {
  override granted(key: string, id: string, grant: Grant): void {
    super.granted(key, id, grant);
    if (grant.provisional) this.session.renew(key, id, 60_000).catch(() => undefined);
  }
}

/** Some operations of one process, issued in one turn of the event loop. */
class Turn implements fc.AsyncCommand<World, Real> {
  private said: string[] = [];

  constructor(
    private readonly peer: number,
    private readonly operations: readonly Operation[],
  ) {}

  check(): boolean {
    return true;
  }

  async run(world: World, real: Real): Promise<void> {
    const peer = real.peers[this.peer] as Peer;
    const asked = this.operations.flatMap((operation) => {
      const asking = operation(world.keys, this.peer);
      if (asking === undefined) return [];
      return [{ what: asking.what, expected: asking.expected, answer: asking.send(peer) }];
    });
    this.said = asked.map(({ what }) => what);
    const answers = await Promise.all(asked.map(({ answer }) => answer));
    assert.deepEqual(
      answers,
      asked.map(({ expected }) => expected),
    );
    await compare(world, real);
  }

  toString(): string {
    return `process ${this.peer}: ${this.said.join(', ')}`;
  }
}

class Advance implements fc.AsyncCommand<World, Real> {
  constructor(private readonly ms: number) {}

  check(): boolean {
    return true;
  }

  async run(world: World, real: Real): Promise<void> {
    for (const { model } of world.keys) model.advance(this.ms);
    await real.advance(this.ms);
    await compare(world, real);
  }

  toString(): string {
    return `Advance(${this.ms})`;
  }
}

/** What is said meanwhile is missed by all. */
class Deafen implements fc.AsyncCommand<World, Real> {
  constructor(
    private readonly admin: () => Redis,
    private readonly ms: number,
  ) {}

  check(): boolean {
    return true;
  }

  async run(): Promise<void> {
    await this.admin().call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await delay(this.ms);
  }

  toString(): string {
    return `Deafen(${this.ms})`;
  }
}

async function compare({ keys }: World, real: Real): Promise<void> {
  await real.advance(0);
  for (const { key, model, requests } of keys) {
    const snapshot = await (real.peers[0] as Peer).session.inspect(key);
    const tokens = snapshot.holders.toSorted((a, b) => a.fencingToken - b.fencingToken);
    assert.deepEqual(
      {
        held: snapshot.held,
        permits: model.isUsed || model.isPinned ? snapshot.permits : 0,
        holders: tokens.map(({ id, weight }) => [id, weight]),
        waiters: snapshot.waiters.map(({ id }) => id),
      },
      {
        held: model.held,
        permits: model.isUsed || model.isPinned ? model.limit : 0,
        holders: model.holders.map(({ id, weight }) => [id, weight]),
        waiters: model.waiters.map(({ id }) => id),
      },
    );
    for (const { request, peer } of requests) {
      const owner = real.peers[peer] as Peer;
      if (model.isToBeTold(request.id)) {
        await owner.grant(request.id);
        model.told.add(request.id);
      } else if (owner.hasGrant(request.id)) {
        assert.ok(model.grants.includes(request.id));
      }
    }
  }
}

function turns(times: Times): fc.Arbitrary<Turn> {
  return fc
    .tuple(fc.nat(2), fc.array(operations(times), { minLength: 1, maxLength: 4 }))
    .map(([peer, ops]) => new Turn(peer, ops));
}

async function play(
  store: SemaphoreStore,
  commands: Iterable<fc.AsyncCommand<World, Real>>,
  advance: Real['advance'],
): Promise<void> {
  const prefix = uniquePrefix('model');
  const peers = [0, 1, 2].map(() => new ClaimingPeer(store));
  const keys = ['a', 'b'].map((name) => ({
    key: `${prefix}:${name}`,
    model: new SemaphoreModel(),
    requests: [],
  }));
  try {
    await fc.asyncModelRun(() => ({ model: { keys }, real: { peers, advance } }), commands);
  } finally {
    await Promise.all(peers.map(({ session }) => session.close()));
  }
}

describe('a store under any operations in any order', () => {
  it('agrees with the model in memory, to the millisecond', async () => {
    const times = { leases: [40, 100, 100, 1_000, Infinity], keeps: [150] };
    const commands = fc.commands(
      [turns(times), turns(times), fc.integer({ min: 1, max: 150 }).map((ms) => new Advance(ms))],
      { maxCommands: 60, size: 'max' },
    );
    await fc.assert(
      fc.asyncProperty(commands, async (sequence) => {
        const clock = new VirtualClock();
        const store = new MemorySemaphoreStore({ clock });
        await play(store, sequence, (ms) => clock.advance(ms));
      }),
      { numRuns: 300 },
    );
  });

  describe('on Redis', () => {
    const server = useRedis();

    const times = { leases: [60_000, Infinity], keeps: [60_000] };
    const messages = fc
      .integer({ min: 0, max: 100 })
      .map((ms) => new Deafen(() => server.admin, ms));
    const turn = turns(times);

    it.each([
      { meanwhile: '', kinds: [turn], maxCommands: 40, numRuns: 40 },
      {
        meanwhile: ', and messages are missed',
        kinds: [turn, turn, turn, messages],
        maxCommands: 25,
        numRuns: 25,
      },
    ])(
      'agrees with the model as long as no lease ends$meanwhile',
      async ({ kinds, maxCommands, numRuns }) => {
        const commands = fc.commands(kinds, { maxCommands, size: 'max' });
        await fc.assert(
          fc.asyncProperty(commands, async (sequence) => {
            const store = new RedisSemaphoreStore({ redis: server.url });
            await play(store, sequence, () => Promise.resolve());
          }),
          // How messages cross cannot be played again: what failed would not shrink.
          { numRuns, endOnFailure: true },
        );
      },
    );
  });
});
