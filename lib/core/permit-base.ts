import { inspect } from 'node:util';
import type { Permit } from './permit.js';

/** What every permit can do, however it came about. */
export abstract class PermitBase {
  async [Symbol.asyncDispose](this: Permit): Promise<void> {
    await this.release();
  }

  /** What there is to know of it: it may be logged, or travel as JSON. */
  toJSON(this: Permit): Record<string, unknown> {
    const { id, key, keys, weight, label, acquiredAt, expiresAt, isHeld, degraded } = this;
    const tokens = {
      fencingToken: this.fencingToken,
      fencingTokens: Object.fromEntries(this.fencingTokens),
    };
    return { id, key, keys, weight, label, ...tokens, acquiredAt, expiresAt, isHeld, degraded };
  }

  [inspect.custom](this: Permit & PermitBase): unknown {
    return this.toJSON();
  }
}
