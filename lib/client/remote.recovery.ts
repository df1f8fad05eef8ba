import type { Clock } from '../store/clock.js';
import type { WireAcquireReply, WireLease } from '../store/remote/wire.js';
import type { AcquireRequest, StoreClient } from '../store/semaphore-store.js';
import type { Answer, RemoteCalls } from './remote.calls.js';
import { type RemotePermits, type Renewal, toAcquire } from './remote.permits.js';

/** Asks a server that may know nothing of it for what this process waits for and holds, and tells the client what it lost. */
export class RemoteRecovery {
  constructor(
    private readonly permits: RemotePermits,
    private readonly calls: RemoteCalls,
    private readonly client: StoreClient,
    private readonly clock: Clock,
  ) {}

  /** Asks for everything again, before all calls that wait. */
  async restore(): Promise<void> {
    const cancels = this.permits.cancels();
    const renewals = this.permits.renewals(this.clock.now());
    const requests = this.permits.requests();
    const answers = this.calls.resume([
      ...cancels,
      ...renewals,
      // Its old place, however long the queue is by now.
      ...requests.map((request) => ({ ...toAcquire(request), maxWaiting: null })),
    ]);
    const renewed = answers.slice(cancels.length);
    const acquired = renewed.slice(renewals.length);
    await Promise.allSettled([
      ...cancels.map(({ id }, i) => answers[i]?.then(() => this.permits.forget(id))),
      ...renewals.map((call, i) =>
        this.confirm(call, renewed[i] as Promise<Answer<WireLease | null>>),
      ),
      ...requests.map((request, i) =>
        this.askAgain(request, acquired[i] as Promise<Answer<WireAcquireReply>>),
      ),
    ]);
  }

  /** Makes all leases as long again as their holders believe. */
  renewAll(): void {
    for (const call of this.permits.renewals(this.clock.now())) {
      this.confirm(call, this.calls.send(call)).catch(() => undefined);
    }
  }

  private async confirm(call: Renewal, answer: Promise<Answer<WireLease | null>>): Promise<void> {
    const lease = this.permits.renewed(call, await answer);
    if (lease === null) this.client.revoked(call.key, call.id, 'expired');
  }

  private async askAgain(
    request: AcquireRequest,
    answer: Promise<Answer<WireAcquireReply>>,
  ): Promise<void> {
    const { key, id } = request;
    try {
      const reply = this.permits.acquired(request, await answer);
      if (reply.status === 'granted') this.client.granted(key, id, reply.grant);
    } catch (error) {
      this.permits.forget(id);
      this.client.failed(key, id, error as Error);
    }
  }
}
