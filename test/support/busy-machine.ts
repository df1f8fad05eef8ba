/**
 * How late something may come on a machine that is busy with other tests: far less than the time after which somebody who was
 * told nothing asks. That a permit is handed on within 250 ms is for tests that do not begin with a new connection.
 */
export const BUSY_SLACK_MS = 1000;
