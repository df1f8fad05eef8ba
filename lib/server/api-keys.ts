import { hash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { HttpProblem } from '../http/http-problem.js';
import { refuseUnknown } from '../option-rules.js';
import { InvalidOptionsError } from '../semaphore.errors.js';
import { requireLoopback } from './loopback.js';
import type { ApiKeyOptions, ApiKeyRole } from './server.options.js';

const MIN_LENGTH = 16;

/** Semaphores that the server keeps for itself; no API key may touch them. */
export const RESERVED_PREFIX = 'nestjs-semaphore.server:';

/** What a request may do. */
export interface Access {
  /** The same for all keys of one caller. */
  readonly name: string;
  readonly isAdmin: boolean;
  mayUse(key: string): boolean;
}

interface KnownKey {
  digest: Buffer;
  access: Access;
}

/** Who may do what. Keeps digests of the keys only, so that no key can be shown by mistake. */
export class ApiKeys {
  private readonly known: readonly KnownKey[];

  /** @throws {InvalidOptionsError} */
  constructor(keys: readonly (string | ApiKeyOptions)[]) {
    this.known = keys.map((key, index) => toKnownKey(key, index));
    for (const [index, { digest }] of this.known.entries()) {
      const first = this.known.findIndex((other) => other.digest.equals(digest));
      if (first === index) continue;
      throw new InvalidOptionsError(
        `apiKeys[${index}]`,
        '***',
        `another key than apiKeys[${first}]`,
      );
    }
  }

  /** Whether there is none: then only requests from this machine are served. */
  get isEmpty(): boolean {
    return this.known.length === 0;
  }

  /** @throws {HttpProblem} 401 without a valid key; 403 from another machine when there are none */
  authenticate(request: IncomingMessage): Access {
    if (this.isEmpty) {
      requireLoopback(request);
      return EVERYTHING;
    }
    const digest = sha256(keyOf(request) ?? '');
    let access: Access | undefined;
    // All of them, always: the time tells nothing.
    for (const known of this.known) {
      if (timingSafeEqual(known.digest, digest)) access = known.access;
    }
    if (access !== undefined) return access;
    throw new HttpProblem(
      401,
      'UNAUTHORIZED',
      'Send a valid API key in the header "x-api-key" or "Authorization: Bearer"',
      { headers: { 'www-authenticate': 'Bearer' } },
    );
  }
}

/** API keys of a text such as that of an environment variable or a file: separated by commas or line breaks. */
export function parseApiKeys(text: string | undefined): string[] {
  return (text ?? '')
    .split(/[,\r\n]/)
    .map((key) => key.trim())
    .filter((key) => key !== '');
}

/** @throws {HttpProblem} 403 */
export function requireKeys(access: Access, keys: Iterable<string>): void {
  for (const key of keys) {
    if (!access.mayUse(key)) {
      throw new HttpProblem(403, 'FORBIDDEN_KEY', 'This API key may not use that semaphore');
    }
  }
}

/** @throws {HttpProblem} 403 */
export function requireAdmin({ isAdmin }: Access): void {
  if (!isAdmin) throw new HttpProblem(403, 'FORBIDDEN_ROLE', 'Only API keys of admins may do that');
}

const EVERYTHING: Access = {
  name: '',
  isAdmin: true,
  mayUse: (key) => !key.startsWith(RESERVED_PREFIX),
};

function keyOf({ headers }: IncomingMessage): string | undefined {
  const own = headers['x-api-key'];
  if (typeof own === 'string') return own;
  return /^Bearer +(.+)$/i.exec(headers.authorization ?? '')?.[1];
}

function toKnownKey(wanted: unknown, index: number): KnownKey {
  const where = `apiKeys[${index}]`;
  if (typeof wanted === 'string') return toKnownKey({ key: wanted }, index);
  if (typeof wanted !== 'object' || wanted === null) {
    // A number may be a secret too.
    const shown = typeof wanted === 'number' ? '***' : wanted;
    throw new InvalidOptionsError(where, shown, 'a string, or an object with a `key`');
  }
  refuseUnknown(wanted, ['key', 'role', 'prefixes', 'name'], `${where}.`);
  const { key, role = 'admin', prefixes, name } = wanted as ApiKeyOptions;
  if (typeof key !== 'string' || key.length < MIN_LENGTH || !/^[\x21-\x7e]+$/.test(key)) {
    const rule = `a string of at least ${MIN_LENGTH} visible ASCII characters`;
    throw new InvalidOptionsError(`${where}.key`, typeof key === 'string' ? '***' : key, rule);
  }
  requireRole(role, where);
  requireStrings(prefixes, `${where}.prefixes`);
  requireStrings(name === undefined ? undefined : [name], `${where}.name`);
  const digest = sha256(key);
  return {
    digest,
    access: {
      name: name ?? `#${digest.toString('base64url').slice(0, 16)}`,
      isAdmin: role === 'admin',
      mayUse: (semaphore) =>
        !semaphore.startsWith(RESERVED_PREFIX) &&
        (prefixes === undefined || prefixes.some((prefix) => semaphore.startsWith(prefix))),
    },
  };
}

function requireRole(role: unknown, where: string): asserts role is ApiKeyRole {
  if (role === 'use' || role === 'admin') return;
  throw new InvalidOptionsError(`${where}.role`, role, "'use' | 'admin'");
}

function requireStrings(values: unknown, option: string): void {
  if (values === undefined) return;
  const areStrings = Array.isArray(values) && values.length > 0;
  if (areStrings && values.every((value) => typeof value === 'string' && value !== '')) return;
  throw new InvalidOptionsError(option, values, 'non-empty, of non-empty strings');
}

function sha256(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}
