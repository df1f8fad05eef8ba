import type { IncomingMessage, ServerResponse } from 'node:http';
import { EventStream, eventText } from '../http/event-stream.js';
import { SemaphoreClosedError } from '../semaphore.errors.js';
import type { SemaphoreEvent } from '../semaphore.events.js';
import type { SemaphoreService } from '../semaphore.service.js';
import type { Quota } from './quota.js';
import * as schemas from './schemas.js';
import { type ServerRoute, serverRoute } from './server-route.js';
import type { Sessions } from './sessions.js';

interface StreamParts {
  semaphores: SemaphoreService;
  sessions: Sessions;
  openStreams: Quota;
  heartbeatMs: number;
  /** Aborted when the server closes. */
  closing: AbortSignal;
}

/** Sessions and events, as server-sent events. */
export function streamRoutes(parts: StreamParts): ServerRoute[] {
  const { semaphores, sessions, openStreams, heartbeatMs, closing } = parts;
  const told = new LastEvent();

  const openSession = serverRoute({
    method: 'GET',
    path: '/v1/sessions',
    operationId: 'openSession',
    summary: 'Opens a session: permits acquired with its id live while this stream is open',
    role: 'use',
    headers: schemas.sessionHeaders,
    answers: {
      200: {
        description:
          'First the event `session` with `{id}`; `lost` with `{key, id}` when a permit of it is not held any more',
      },
    },
    problems: [429],
    async handle({ request, response, access, headers }) {
      const leave = openStreams.enter(access.name);
      response.once('close', leave);
      const stream = (): EventStream => new EventStream(request, response, heartbeatMs);
      await sessions.open(access, headers['x-session-id'], stream);
      return undefined;
    },
  });

  const watch = serverRoute({
    method: 'GET',
    path: '/v1/events',
    operationId: 'watchEvents',
    summary: 'What happens to the permits of this server, as it happens',
    role: 'use',
    answers: { 200: { description: 'Each event under the name of its type' } },
    problems: [429],
    async handle({ request, response, access }) {
      if (closing.aborted) throw new SemaphoreClosedError();
      const leave = openStreams.enter(access.name);
      response.once('close', leave);
      watchEvents(
        request,
        response,
        (event) => event.key === undefined || access.mayUse(event.key),
      );
      return undefined;
    },
  });

  function watchEvents(
    request: IncomingMessage,
    response: ServerResponse,
    isForClient: (event: SemaphoreEvent) => boolean,
  ): void {
    const stream = new EventStream(request, response, heartbeatMs);
    const close = (): void => stream.close();
    const subscription = semaphores.events.subscribe({
      next: (event) => {
        if (isForClient(event)) stream.sendText(told.textOf(event));
      },
      complete: close,
    });
    closing.addEventListener('abort', close, { once: true });
    stream.onClosed(() => {
      subscription.unsubscribe();
      closing.removeEventListener('abort', close);
    });
  }

  return [openSession, watch];
}

/** The text of an event, which all streams share: what clients leave unread is in memory once. */
class LastEvent {
  private event: SemaphoreEvent | undefined;
  private text = '';

  textOf(event: SemaphoreEvent): string {
    if (event !== this.event) {
      this.event = event;
      this.text = eventText(event.type, withoutError(event));
    }
    return this.text;
  }
}

/** The words of the store, and of the application's own errors, stay inside. */
function withoutError(event: SemaphoreEvent): object {
  if (!('error' in event)) return event;
  const { error: _, ...told } = event;
  return told;
}
