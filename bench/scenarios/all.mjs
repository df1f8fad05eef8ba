import { scenario as sequential } from './1-sequential.mjs';
import { scenario as growth } from './10-growth.mjs';
import { scenario as hotKey } from './11-hot-key.mjs';
import { scenario as lockServer } from './12-lock-server.mjs';
import { scenario as singleFlight } from './13-single-flight.mjs';
import { scenario as telemetry } from './14-telemetry.mjs';
import { scenario as ownKeys } from './2-own-keys.mjs';
import { scenario as oneMutex } from './3-one-mutex.mjs';
import { scenario as limit10 } from './4-limit-10.mjs';
import { scenario as idle } from './5-idle.mjs';
import { scenario as crash } from './6-crash.mjs';
import { scenario as memory } from './7-memory.mjs';
import { scenario as inProcess } from './8-in-process.mjs';
import { scenario as http } from './9-http.mjs';

/**
 * @typedef {object} Scenario
 * @property {number} id
 * @property {(run: object) => Promise<object[]>} run measures; returns groups of rows, each group a table
 * @property {(groups: object[]) => object[]} goals
 * @type {Scenario[]}
 */
export const scenarios = [
  sequential,
  ownKeys,
  oneMutex,
  limit10,
  idle,
  crash,
  memory,
  inProcess,
  http,
  growth,
  hotKey,
  lockServer,
  singleFlight,
  telemetry,
];
