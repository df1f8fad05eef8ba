import { MAX_RESULT_BYTES } from '../store/remote/wire.js';
import type {
  FlightLook,
  Publication,
  PublicationListener,
  SingleFlightStore,
} from '../store/single-flight-store.js';
import type { RemoteCalls } from './remote.calls.js';

/** Single flights at a server, among the calls of the process's semaphores. */
export class RemoteFlights implements SingleFlightStore {
  readonly maxResultBytes = MAX_RESULT_BYTES;
  private listener: PublicationListener = () => undefined;

  constructor(private readonly calls: RemoteCalls) {}

  listen(listener: PublicationListener): void {
    this.listener = listener;
  }

  async look(key: string, seen?: number): Promise<FlightLook> {
    return (await this.calls.send<FlightLook>({ op: 'look', key, seen: seen ?? null })).value;
  }

  async publish(key: string, publication: Publication): Promise<boolean> {
    return (await this.calls.send<boolean>({ op: 'publish', key, ...publication })).value;
  }

  async forget(key: string): Promise<void> {
    await this.calls.send({ op: 'forget', key });
  }

  published(key: string, token: number, payload: string | undefined): void {
    this.listener(key, token, payload);
  }
}
