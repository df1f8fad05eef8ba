import { StoreUnavailableError } from '../semaphore.errors.js';
import {
  MAX_RESULT_BYTES,
  MAX_SHORT_RESULT,
  RESULT_PATH,
  type WireLook,
  type WirePublication,
} from '../store/remote/wire.js';
import type {
  FlightLook,
  Publication,
  PublicationListener,
  SingleFlightStore,
} from '../store/single-flight-store.js';
import { ConcurrencyLimit } from '../concurrency-limit.js';
import { RequestError } from './http-request.js';
import type { RemoteCalls } from './remote.calls.js';
import type { RemoteLink } from './remote.link.js';

/** Long results that are on their way at once. */
const TRANSFERS = 2;
const TOO_LONG_STATUS = 413;

/**
 * Single flights at a server, among the calls of the process's semaphores. Long results travel apart from those. A long
 * publication and the release after it are two steps: whoever comes between them waits for the release, as one who came later.
 */
export class RemoteFlights implements SingleFlightStore {
  readonly maxResultBytes = MAX_RESULT_BYTES;
  published: PublicationListener = () => undefined;
  forgotten: (key: string) => void = () => undefined;
  private readonly transfers = new ConcurrencyLimit(TRANSFERS);
  /** Publications on their way, by the permit of the leader. */
  private readonly publishing = new Map<string, Promise<void>>();

  constructor(
    private readonly calls: RemoteCalls,
    private readonly link: RemoteLink,
  ) {}

  listen(published: PublicationListener, forgotten: (key: string) => void): void {
    this.published = published;
    this.forgotten = forgotten;
  }

  async look(key: string, seen?: number): Promise<FlightLook> {
    const call = { op: 'look', key, seen: seen ?? null } as const;
    const { value, toLocal } = await this.calls.send<WireLook>(call);
    const { isLong, freshUntil, ...rest } = value;
    const look = { ...rest, freshUntil: freshUntil === 0 ? 0 : toLocal(freshUntil) };
    if (isLong === undefined) return look;
    const wanted = new URLSearchParams({ key });
    if (seen !== undefined) wanted.set('seen', String(seen));
    const query = `?${wanted.toString()}`;
    const { state, payload, token } = await this.transfer<FlightLook>(key, 'GET', query);
    // The rest is of the moment in which its place in the queue was asked for.
    return { ...look, state, payload, token };
  }

  async publish(key: string, { substitute, ...publication }: Publication): Promise<boolean> {
    if (publication.payload.length <= MAX_SHORT_RESULT) {
      return (await this.calls.send<boolean>({ op: 'publish', key, ...publication })).value;
    }
    const { permitId } = publication;
    const published = this.publishLong(key, publication, substitute);
    const forget = (): void => void this.publishing.delete(permitId);
    this.publishing.set(permitId, published.then(forget, forget));
    return published;
  }

  async forget(key: string): Promise<void> {
    await this.calls.send({ op: 'forget', key });
  }

  /** Resolves when what the leader publishes has arrived, or never will; undefined when nothing is on its way. */
  publishingOf(permitId: string): Promise<void> | undefined {
    return this.publishing.get(permitId);
  }

  private async publishLong(
    key: string,
    publication: WirePublication,
    substitute: string | undefined,
  ): Promise<boolean> {
    try {
      const body = JSON.stringify({ key, ...publication });
      return (await this.transfer<{ published: boolean }>(key, 'POST', '', body)).published;
    } catch (error) {
      if (!isTooLong(error) || substitute === undefined) throw error;
      const instead = { ...publication, payload: substitute, freshMs: 0, staleMs: 0 };
      return (await this.calls.send<boolean>({ op: 'publish', key, ...instead })).value;
    }
  }

  /** @throws {StoreUnavailableError} */
  private async transfer<T>(
    key: string,
    method: 'GET' | 'POST',
    query: string,
    body?: string,
  ): Promise<T> {
    try {
      const text = await this.transfers.run(() =>
        this.link.transfer(method, RESULT_PATH + query, body),
      );
      return JSON.parse(text) as T;
    } catch (error) {
      throw new StoreUnavailableError((error as Error).message, key, error);
    }
  }
}

/** A proxy, or the server, takes no body of that length. */
function isTooLong(error: unknown): boolean {
  const cause = error instanceof StoreUnavailableError ? error.cause : undefined;
  return cause instanceof RequestError && cause.statusCode === TOO_LONG_STATUS;
}
