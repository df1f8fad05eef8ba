/** What the process ends with; where sysexits.h has a number for it, that one. */
export const ExitCode = {
  ok: 0,
  /** What was asked for could not be done. */
  failure: 1,
  /** The command line, the environment or a value in them makes no sense. */
  usage: 2,
  /** Redis or the server cannot be reached. */
  unavailable: 69,
  /** No permit in time: try again later. */
  notAdmitted: 75,
  /** The permit was lost while the command ran. */
  lost: 76,
  /** The API key may not do that. */
  forbidden: 77,
  notExecutable: 126,
  notFound: 127,
} as const;

/** Added to the number of the signal that ended a command. */
export const SIGNALLED = 128;
