import pLimit from 'p-limit';

export const peers = {
  'p-limit': {
    name: 'p-limit (in process)',
    settings: 'defaults',
    backend: 'none',
    open,
  },
};

function open() {
  const limits = new Map();
  return {
    locker(key, { permits }) {
      const limit = limits.get(key) ?? pLimit(permits);
      limits.set(key, limit);
      let leave;
      return {
        // It runs tasks; here a task lasts from acquire to release.
        acquire: () =>
          new Promise((entered) => {
            void limit(
              () =>
                new Promise((resolve) => {
                  leave = resolve;
                  entered();
                }),
            );
          }),
        release: async () => leave(),
      };
    },
    close: () => {},
  };
}
