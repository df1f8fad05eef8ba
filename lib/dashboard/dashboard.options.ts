import type { IncomingMessage } from 'node:http';
import { aFunction, flag, mergeSecretly, type Rule } from '../option-rules.js';

/** What somebody may do: nothing, look, or look and act (force release, drop a waiter, change a limit). */
export type DashboardAccess = 'none' | 'view' | 'act';

/** An answer of `authorize`: `true` is 'act', `false` is 'none'. */
export type DashboardDecision =
  | boolean
  | DashboardAccess
  | {
      /** What they may do. */
      access: DashboardAccess;
      /** Who it is: shown on the page, and logged with what they do. */
      user?: string | undefined;
      /** With access 'none': answers 401 with this `WWW-Authenticate` header, for example `Basic realm="semaphores"`. */
      challenge?: string | undefined;
    };

/** Options of `SemaphoreDashboardModule`. */
export interface SemaphoreDashboardOptions {
  /** Where the page is, behind the application's global prefix. @default '/semaphores' */
  path?: string | undefined;
  /**
   * Says what the sender of a request may do. Asked at every request. A page that is open makes a new one every 30
   * seconds, without which it is told nothing more. It gets the request of Express, or Node's own with Fastify. What it
   * throws counts as 'none'.
   * @default in production nobody may anything; elsewhere everybody may act
   */
  authorize?:
    ((request: IncomingMessage) => DashboardDecision | Promise<DashboardDecision>) | undefined;
  /** Nobody may act, whatever `authorize` says. @default false */
  readOnly?: boolean | undefined;
}

export interface ResolvedDashboardOptions extends SemaphoreDashboardOptions {
  path: string;
  readOnly: boolean;
}

const DEFAULTS: ResolvedDashboardOptions = Object.freeze({ path: '/semaphores', readOnly: false });

const PATH = /^\/?[\w.~-]+(?:\/[\w.~-]+)*\/?$/;

const RULES: Record<keyof SemaphoreDashboardOptions, Rule> = {
  path: {
    text: 'a path below the root, of letters, digits and any of "-._~"',
    holds: (value) => typeof value === 'string' && PATH.test(value),
  },
  readOnly: flag,
  authorize: aFunction,
};

/** @throws {InvalidOptionsError} */
export function resolveDashboardOptions(
  options: SemaphoreDashboardOptions,
): ResolvedDashboardOptions {
  return mergeSecretly(DEFAULTS, RULES, options);
}
