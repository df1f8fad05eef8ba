import { randomBytes } from 'node:crypto';

/** Ids that no other process gives: a random start of 66 bits, then a count. In a shell none looks like an option. */
export class PermitIds {
  private readonly prefix = randomBytes(9).toString('base64url').slice(0, 11).replace(/^-/, 'x');
  private count = 0;

  next(): string {
    return this.prefix + (this.count++).toString(36);
  }
}
