import type { Logger } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';
import { HttpProblem } from '../http/http-problem.js';
import { stackOf } from '../semaphore.errors.js';
import type {
  DashboardAccess,
  DashboardDecision,
  SemaphoreDashboardOptions,
} from './dashboard.options.js';

/** Somebody who may look or act. */
export interface Visitor {
  access: Exclude<DashboardAccess, 'none'>;
  user?: string;
}

const CLOSED_IN_PRODUCTION =
  'In production the dashboard answers nobody until SemaphoreDashboardModule is given `authorize`.';
const NOT_ALLOWED = 'You may not see the dashboard.';

/** Who may do what. Whatever is not clearly allowed is refused. */
export class AccessControl {
  constructor(
    private readonly options: Pick<SemaphoreDashboardOptions, 'authorize' | 'readOnly'>,
    private readonly logger: Pick<Logger, 'error'>,
  ) {}

  /** @throws {HttpProblem} 401 or 403 for somebody who may not look */
  async admit(request: IncomingMessage): Promise<Visitor> {
    const decision = await this.decide(request);
    const { access, user, challenge } =
      typeof decision === 'object' && decision !== null ? decision : { access: decision };
    const visitor = typeof user === 'string' ? { user } : {};
    if (access === 'view' || (this.options.readOnly && isAct(access))) {
      return { ...visitor, access: 'view' };
    }
    if (isAct(access)) return { ...visitor, access: 'act' };
    throw refusal(challenge, this.isClosed ? CLOSED_IN_PRODUCTION : NOT_ALLOWED);
  }

  /**
   * Somebody who may act, by a request that the dashboard's own page made: no other site can send the header, or JSON,
   * or this `Sec-Fetch-Site`, in the name of the visitor's browser.
   * @throws {HttpProblem} 401 or 403
   */
  async admitToAct(request: IncomingMessage): Promise<Visitor> {
    const visitor = await this.admit(request);
    if (visitor.access !== 'act') {
      throw new HttpProblem(
        403,
        'VIEW_ONLY',
        this.options.readOnly ? 'The dashboard is read-only.' : 'You may look, but not act.',
      );
    }
    if (!isFromOwnPage(request)) {
      throw new HttpProblem(
        403,
        'FOREIGN_ORIGIN',
        'Only the page of the dashboard may ask for this. On plain HTTP, a proxy before it has to pass the Host header on.',
      );
    }
    return visitor;
  }

  private get isClosed(): boolean {
    return this.options.authorize === undefined && process.env['NODE_ENV'] === 'production';
  }

  private async decide(request: IncomingMessage): Promise<DashboardDecision> {
    const { authorize } = this.options;
    if (authorize === undefined) return !this.isClosed;
    try {
      return await authorize(request);
    } catch (error) {
      this.logger.error('`authorize` of the semaphore dashboard threw an error', stackOf(error));
      return 'none';
    }
  }
}

function isAct(access: unknown): boolean {
  return access === 'act' || access === true;
}

function isFromOwnPage({ headers }: IncomingMessage): boolean {
  if (headers['x-semaphore-dashboard'] !== 'act') return false;
  if (!headers['content-type']?.toLowerCase().startsWith('application/json')) return false;
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site === 'same-origin';
  // Browsers leave it out on plain HTTP; what is no browser sends neither.
  const { origin, host = headers[':authority'] } = headers;
  return origin === undefined || (host !== undefined && hostOf(origin) === host);
}

function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}

function refusal(challenge: unknown, message: string): HttpProblem {
  return typeof challenge === 'string'
    ? new HttpProblem(401, 'UNAUTHORIZED', message, { headers: { 'www-authenticate': challenge } })
    : new HttpProblem(403, 'FORBIDDEN', message);
}
