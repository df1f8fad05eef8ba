/** In milliseconds, when nothing says how long it takes. */
export const DEFAULT_RETRY_AFTER_MS = 1000;

/** The header `Retry-After`: whole seconds, one at least. */
export function retryAfterHeader(retryAfterMs: number): string {
  return String(Math.max(1, Math.ceil(retryAfterMs / 1000)));
}
