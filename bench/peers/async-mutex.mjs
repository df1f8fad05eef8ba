import { Mutex, Semaphore } from 'async-mutex';

export const peers = {
  'async-mutex': {
    name: 'async-mutex Mutex (in process)',
    settings: 'defaults',
    backend: 'none',
    open: () =>
      open(
        () => new Mutex(),
        (mutex) => mutex.acquire(),
      ),
  },
  'async-semaphore': {
    name: 'async-mutex Semaphore (in process)',
    settings: 'defaults',
    backend: 'none',
    open: () =>
      open(
        (permits) => new Semaphore(permits),
        async (semaphore) => (await semaphore.acquire())[1],
      ),
  },
};

function open(create, enter) {
  const locks = new Map();
  return {
    locker(key, { permits }) {
      const lock = locks.get(key) ?? create(permits);
      locks.set(key, lock);
      let release;
      return {
        acquire: async () => {
          release = await enter(lock);
        },
        release: async () => release(),
      };
    },
    close: () => {},
  };
}
