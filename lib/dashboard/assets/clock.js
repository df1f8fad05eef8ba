/** How far the server's clock is ahead of the browser's. */
let aheadMs = 0;

/** A frame was made at this time by the server's clock. Late frames say less than early ones. */
export function hearTime(serverNow) {
  const ahead = serverNow - Date.now();
  aheadMs = Math.abs(ahead - aheadMs) > 2_000 ? ahead : Math.max(ahead, aheadMs - 1);
}

/** Epoch milliseconds by the server's clock. */
export function now() {
  return Date.now() + aheadMs;
}
