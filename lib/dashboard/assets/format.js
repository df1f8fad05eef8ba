const counts = new Intl.NumberFormat('en');

/** 1,234 */
export function count(number) {
  return counts.format(number);
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

export function timeOfDay(epochMs) {
  return new Date(epochMs).toLocaleTimeString('en-GB');
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
