export const PORT = Number(process.env['PORT'] || 3000);

/** Without it, everything lives in the memory of this process. */
export const REDIS_URL = process.env['REDIS_URL'] || undefined;

/** How long each report takes; without it, 300 to 800 ms. */
export const REPORT_MS = Number(process.env['REPORT_MS']) || undefined;
