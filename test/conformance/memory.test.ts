import { describe, it } from '@jest/globals';
import { describeSemaphoreStore, VirtualClock } from 'nestjs-semaphore/testing';
import { MemorySemaphoreStore } from '../../lib/store/memory/memory.semaphore-store.js';

const clock = new VirtualClock();

describeSemaphoreStore(
  'MemorySemaphoreStore on a virtual clock',
  {
    createStore: () => new MemorySemaphoreStore({ clock }),
    advance: (ms) => clock.advance(ms),
    slackMs: 0,
  },
  { describe, it },
);
