import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** How many responses of one connection may wait for their turn: behind a stream it may never come. */
const MAX_PIPELINED = 100;
const pipelined = new WeakMap<Socket, number>();

/**
 * A response that is pipelined behind another one is told nothing of its connection's end before its turn has come: until
 * then nothing may begin that has to end with it. A connection with too many of them is broken.
 */
export function turnOf(
  { socket }: IncomingMessage,
  response: ServerResponse,
): Promise<void> | undefined {
  if (response.socket !== null || response.destroyed) return undefined;
  const count = (pipelined.get(socket) ?? 0) + 1;
  pipelined.set(socket, count);
  if (count > MAX_PIPELINED) socket.destroy();
  return new Promise((resolve) => {
    response.once('socket', () => {
      pipelined.set(socket, (pipelined.get(socket) ?? 1) - 1);
      resolve();
    });
  });
}
