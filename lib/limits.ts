/** What values may be at most, whichever way they come in: options of a call, the command line, or HTTP. */

/** Tokens and times are whole numbers of microseconds in the store: beyond this they would not be exact. */
export const MAX_DURATION_MS = 1e12;

/** What a timer of Node.js takes; a longer one would fire at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** Either way. The rest of a place in the queue is the time of arrival. */
export const MAX_PRIORITY = 100_000;

/** In UTF-8. */
export const MAX_KEY_BYTES = 512;

/** In UTF-16 units, as a string's `length` counts. */
export const MAX_LABEL_LENGTH = 256;

/** What names a permit: ids of our own, and what callers of the store choose. */
export const PERMIT_ID = /^[\w-]{1,64}$/;
