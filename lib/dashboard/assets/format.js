const counts = new Intl.NumberFormat('en');
const shortCounts = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

/** 1,234 */
export function count(number) {
  return counts.format(number);
}

/** 1,234, but 123.5K and 1.2M: for where there is little room. */
export function shortCount(number) {
  return number < 100_000 ? count(number) : shortCounts.format(number);
}

/** 12 ms, 4.2 s, 37 s, 3 m 05 s, 2 h 10 m, 3 d 04 h */
export function duration(ms) {
  if (ms < 0) return duration(0);
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 9_950) return `${(ms / 1_000).toFixed(1)} s`;
  return longDuration(ms);
}

/** As {@link duration}, for what ticks: whole seconds, so that it does not flicker. */
export function age(ms) {
  return ms < 60_000 ? `${Math.max(0, Math.floor(ms / 1_000))} s` : longDuration(ms);
}

/** null is "none". */
export function maybeDuration(ms) {
  return ms === null ? '–' : duration(ms);
}

/** A line ends before or after it, never within. */
export function unbroken(text) {
  return text.replaceAll(' ', '\u00a0');
}

/** 14:05:09, with the date unless it is today's. */
export function moment(epochMs) {
  const then = new Date(epochMs);
  const today = new Date();
  const time = then.toLocaleTimeString('en-GB');
  if (then.toDateString() === today.toDateString()) return time;
  const year = then.getFullYear() === today.getFullYear() ? undefined : 'numeric';
  const date = then.toLocaleDateString('en-GB', { day: 'numeric', month: 'short', year });
  return `${date}, ${time}`;
}

/** The zone of {@link moment}: CET, GMT+5:30 */
export function timeZone() {
  const parts = new Intl.DateTimeFormat('en-GB', { timeZoneName: 'short' }).formatToParts();
  return parts.find(({ type }) => type === 'timeZoneName').value;
}

/**
 * Signs that are not seen, or that change how others are shown, but for what makes an emoji of the sign before it, or one
 * of two.
 * Of spaces those at either end, and before another one.
 */
const UNSEEN =
  /(?!(?<=\p{Extended_Pictographic})\ufe0f)(?!(?<=[\p{Extended_Pictographic}\p{EMod}\ufe0f])\u200d(?=\p{Extended_Pictographic}))[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{DI}\u2800]|(?! )\p{Zs}|^ +| +$| (?= )/gu;

/** A key or a label as text in which nothing is hidden. */
export function printable(text) {
  return text.replace(UNSEEN, (signs) =>
    signs.startsWith(' ') ? '␣'.repeat(signs.length) : `\\u{${signs.codePointAt(0).toString(16)}}`,
  );
}

/** "1 waiter", "2 waiters" */
export function plural(number, word) {
  return `${count(number)} ${word}${number === 1 ? '' : 's'}`;
}

function longDuration(ms) {
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} m ${twoDigits(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${twoDigits(minutes % 60)} m`;
  return `${count(Math.floor(hours / 24))} d ${twoDigits(hours % 24)} h`;
}

function twoDigits(number) {
  return `${number}`.padStart(2, '0');
}
