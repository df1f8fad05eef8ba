import type { Logger } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';
import { HttpProblem } from '../http/http-problem.js';
import { readJsonBody } from '../http/read-json-body.js';
import { quoted } from '../quoted.js';
import type { SemaphoreService } from '../semaphore.service.js';
import { internalsOf } from '../service-internals.js';
import type { Visitor } from './access-control.js';

const LIMITS = { maxBytes: 16_384, timeoutMs: 10_000 };

/** What is done, and who is to be named for it. */
export type Act = (body: ActBody, who: string) => Promise<void>;

interface ActBody {
  key: string;
  id?: unknown;
  permits?: unknown;
}

/** What an operator may do by the page. Every act is logged with who did it. */
export class DashboardActs {
  constructor(
    private readonly service: SemaphoreService,
    private readonly logger: Pick<Logger, 'log'>,
  ) {}

  async run(act: Act, request: IncomingMessage, { user }: Visitor): Promise<void> {
    const body = (await readJsonBody(request, LIMITS)) as Partial<ActBody> | undefined;
    if (typeof body?.key !== 'string') {
      throw new HttpProblem(400, 'INVALID_BODY', 'Expected `key` to be a string');
    }
    const from = request.socket.remoteAddress ?? 'an unknown address';
    await act(
      { ...body, key: body.key },
      user === undefined ? `Somebody at ${from}` : quoted(user),
    );
  }

  readonly release: Act = async ({ key, id }, who) => {
    const { holders } = await this.service.inspect(key);
    const holder = holders.find((candidate) => candidate.id === id);
    if (holder === undefined || !(await this.service.forceRelease(key, holder.id))) {
      throw gone('Nobody holds this permit any more.');
    }
    const of = `${quoted(holder.label ?? holder.id)} (${holder.client})`;
    this.logger.log(`${who} released the permit of ${of} for ${quoted(key)} by force`);
  };

  readonly drop: Act = async ({ key, id }, who) => {
    const { waiters } = await this.service.inspect(key);
    const waiter = waiters.find((candidate) => candidate.id === id);
    if (waiter === undefined || !(await internalsOf(this.service).dropWaiter(key, waiter.id))) {
      throw gone('This caller does not wait any more.');
    }
    const of = `${quoted(waiter.label ?? waiter.id)} (${waiter.client})`;
    this.logger.log(`${who} dropped ${of} from the queue for ${quoted(key)}`);
  };

  readonly limit: Act = async ({ key, permits }, who) => {
    const limit = permits as number | null;
    await this.service.setPermits(key, limit);
    const what = limit === null ? 'cleared the limit' : `set the limit to ${limit}`;
    this.logger.log(`${who} ${what} for ${quoted(key)}`);
  };
}

function gone(message: string): HttpProblem {
  return new HttpProblem(409, 'GONE', message);
}
