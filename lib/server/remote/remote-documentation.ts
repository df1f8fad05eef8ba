import { z } from 'zod';
import {
  GRACE_HEADER,
  KEYS_PATH,
  NAME_HEADER,
  RESULT_PATH,
  SESSION_HEADER,
  STORE_PATH,
} from '../../store/remote/wire.js';
import type { DocumentedCall } from '../server-route.js';
import { callsBody, resultBody } from './remote-calls.js';

const secret = z
  .string()
  .regex(/^[\w-]{43}$/)
  .meta({
    description:
      'The session: 32 random bytes as base64url, chosen by the client and told to nobody',
    examples: ['0123456789-0123456789-0123456789-0123456789'],
  });

export const storeSessionHeaders = z.object({ [SESSION_HEADER]: secret });

export const openHeaders = z.object({
  [SESSION_HEADER]: secret,
  [NAME_HEADER]: z
    .string()
    .regex(/^[\w.-]{1,64}:\d{1,10}$/)
    .meta({ description: 'Host and process of the client', examples: ['host:1234'] }),
  [GRACE_HEADER]: z
    .string()
    .regex(/^\d{1,9}$/)
    .meta({
      description: 'How long the session outlives its stream, in milliseconds',
      examples: ['5000'],
    }),
});

export const keysQuery = z.strictObject({
  pattern: z.string().min(1).max(1024).optional().meta({ description: 'A glob: `*`, `?`, `[ab]`' }),
});

export const resultQuery = z.strictObject({
  key: resultBody.shape.key,
  seen: z.coerce
    .number()
    .int()
    .min(0)
    .optional()
    .meta({ description: 'The token of the result that the caller has seen' }),
});

const look = z.object({
  state: z.enum(['none', 'fresh', 'stale', 'missed']),
  payload: z.string(),
  freshUntil: z.number(),
  token: z.number(),
  isLed: z.boolean(),
  waiting: z.number(),
  at: z.number(),
});

const result = z.union([
  z.object({ value: z.unknown() }),
  z.object({
    error: z.object({ code: z.string(), message: z.string(), nothingDone: z.boolean() }),
  }),
]);

const reply = z.object({
  server: z.string().meta({ description: 'Of this run of the server' }),
  now: z.number().meta({ description: 'By the clock that deadlines are measured with' }),
  results: z.array(result).meta({ description: 'One for each call, in their order' }),
});

const OF_CLIENT =
  'It is what RemoteSemaphoreStore speaks, and changes with the version of the package';

/** What RemoteSemaphoreStore asks of a server. */
export const storeCalls: readonly DocumentedCall[] = [
  {
    method: 'GET',
    path: STORE_PATH,
    operationId: 'openStore',
    summary: `Opens a session of the store, or takes it up again. ${OF_CLIENT}`,
    role: 'use',
    headers: openHeaders,
    answers: { 200: { description: 'First the event `open`, then grants and losses' } },
    problems: [429],
  },
  {
    method: 'POST',
    path: STORE_PATH,
    operationId: 'callStore',
    summary: `Calls to the store, in their order; each fails alone. ${OF_CLIENT}`,
    role: 'use',
    headers: storeSessionHeaders,
    body: callsBody,
    answers: { 200: { description: 'What came of them', schema: reply } },
    problems: [409],
  },
  {
    method: 'POST',
    path: RESULT_PATH,
    operationId: 'publishResult',
    summary: `Publishes a long result of a single flight. ${OF_CLIENT}`,
    role: 'use',
    headers: storeSessionHeaders,
    body: resultBody,
    answers: {
      200: {
        description: 'Whether its permit was still held',
        schema: z.object({ published: z.boolean() }),
      },
    },
    problems: [409],
  },
  {
    method: 'GET',
    path: RESULT_PATH,
    operationId: 'lookAtResult',
    summary: `What single flights of a key have published, however long. ${OF_CLIENT}`,
    role: 'use',
    headers: storeSessionHeaders,
    query: resultQuery,
    answers: { 200: { description: 'What there is', schema: look } },
    problems: [409],
  },
  {
    method: 'DELETE',
    path: STORE_PATH,
    operationId: 'closeStore',
    summary: `Ends a session of the store. ${OF_CLIENT}`,
    role: 'use',
    headers: storeSessionHeaders,
    answers: { 204: { description: 'It is over, or was', content: 'none' } },
  },
  {
    method: 'GET',
    path: KEYS_PATH,
    operationId: 'listStore',
    summary: `Keys that have holders or waiters now, one JSON string a line. ${OF_CLIENT}`,
    role: 'use',
    query: keysQuery,
    answers: {
      200: {
        description: 'The last line is `true`, if it is complete',
        content: 'application/jsonl',
      },
    },
  },
];
