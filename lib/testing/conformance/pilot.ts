import assert from 'node:assert/strict';
import type { PublicationListener, SingleFlightStore } from '../../store/single-flight-store.js';
import type { Peer } from './peer.js';
import { range, type Scene } from './scene.js';

/** A process that leads or follows flights, and hears what others publish. */
export class Pilot {
  readonly flights: SingleFlightStore;
  readonly forgotten: string[] = [];
  private readonly heard: { key: string; token: number; payload: string | undefined }[] = [];

  constructor(readonly peer: Peer) {
    const { flights } = peer.session;
    assert.ok(flights, 'the session should have `flights`');
    this.flights = flights;
    const published: PublicationListener = (key, token, payload) => {
      this.heard.push({ key, token, payload });
      peer.notify();
    };
    flights.listen(published, (key) => {
      this.forgotten.push(key);
      peer.notify();
    });
  }

  get count(): number {
    return this.heard.length;
  }

  async publication(index = 0): Promise<{ key: string; token: number; payload: string }> {
    const what = 'a publication should have been heard';
    const heard = await this.peer.told(what, () => this.heard[index]);
    return { ...heard, payload: heard.payload ?? '' };
  }

  /** Resolves when it was told that something was forgotten. */
  async forgets(): Promise<void> {
    await this.peer.told('it should have been told to forget', () => this.forgotten[0]);
  }

  /** Leads, publishes and gives the permit back, as one step. @returns the token */
  async fly(key: string, payload: string, freshMs = 0, staleMs = 0): Promise<number> {
    const { id, grant } = await this.peer.hold(key);
    assert.equal(await this.land(key, id, payload, freshMs, staleMs), true);
    return grant.fencingToken;
  }

  async land(
    key: string,
    permitId: string,
    payload: string,
    freshMs = 0,
    staleMs = 0,
  ): Promise<boolean> {
    const published = this.flights.publish(key, { permitId, payload, freshMs, staleMs });
    const released = this.peer.session.release(key, permitId, 0);
    await released;
    return published;
  }
}

export const pilots = ({ join }: Scene, count: number): Pilot[] =>
  range(count).map(() => new Pilot(join()));

/** Resolves when a process was told what another one did before: messages come in their order, of one server. */
export async function hearAll(from: Peer, to: Peer, key: string): Promise<void> {
  const beside = `${key}-beside`;
  const { id } = await from.hold(beside);
  const waiting = await to.wait(beside);
  await from.session.release(beside, id, 0);
  await to.grant(waiting);
  await to.session.release(beside, waiting, 0);
}
