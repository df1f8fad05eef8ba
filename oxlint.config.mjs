/** What a room may not import, and why. */
const NOT = {
  root: ['only index.ts imports the composition root', '**/semaphore.module.js'],
  ioredis: ['only lib/store/redis knows ioredis', 'ioredis', 'ioredis/*', 'ioredis5', 'ioredis5/*'],
  framework: ['this room knows nothing of Nest', '@nestjs/*', '@nestjs/**'],
  nest: ['arrows point from nest to service to core to the store port, never back', '**/nest/**'],
  service: [
    'arrows point from the service inwards, never back',
    '**/semaphore.service.js',
    '**/service-internals.js',
    '**/index.js',
  ],
  faces: [
    'arrows point from the faces inwards, never back',
    '**/server/**',
    '**/dashboard/**',
    '**/cli/**',
  ],
  module: [
    'options of the module are for those who build it; others get what they need',
    '**/resolve-module-options.js',
  ],
  core: ['stores know only the port (lib/store/semaphore-store.ts)', '**/core/**'],
  adapters: [
    'only the composition root knows the adapters; use the port',
    '**/store/redis/**',
    '**/store/memory/**',
    '**/store/create-store.js',
    '**/client/**',
  ],
  otherStores: ['one store does not know another', '**/redis/**', '**/memory/**', '**/client/**'],
  anything: ['the errors import nothing', '*', '*/**', './**', '../**'],
};

const EVERYWHERE = [NOT.root, NOT.ioredis];
const INNER = [...EVERYWHERE, NOT.framework, NOT.nest, NOT.service, NOT.faces];
const STORE = [...INNER, NOT.core];

/** Every store but one's own. */
const otherThan = (own) => NOT.otherStores.filter((rule) => rule !== `**/${own}/**`);

/** The last room that a file is in counts. */
const ROOMS = [
  ['lib/**', EVERYWHERE],
  ['lib/index.ts', [NOT.ioredis]],
  ['lib/semaphore.errors.ts', [NOT.anything]],
  ['lib/core/**', [...INNER, NOT.adapters, NOT.module]],
  ['lib/{cancel,completion}/**', [...INNER, NOT.adapters, NOT.core]],
  ['lib/store/**', STORE],
  ['lib/store/semaphore-store.ts', [...STORE, NOT.otherStores]],
  ['lib/store/memory/**', [...STORE, otherThan('memory')]],
  ['lib/store/redis/**', [...STORE.filter((rule) => rule !== NOT.ioredis), otherThan('redis')]],
  ['lib/client/**', [...STORE, NOT.adapters]],
  ['lib/testing/**', STORE],
  ['lib/single-flight/**', [...EVERYWHERE, NOT.adapters, NOT.nest, NOT.faces]],
  ['lib/telemetry/**', [...EVERYWHERE, NOT.adapters, NOT.nest, NOT.faces]],
  ['lib/nest/**', [...EVERYWHERE, NOT.adapters, NOT.faces]],
  ['lib/http/**', [...EVERYWHERE, NOT.adapters, NOT.nest, NOT.faces, NOT.core]],
  ['lib/server/**', [...EVERYWHERE, NOT.adapters]],
  ['lib/dashboard/**', [...EVERYWHERE, NOT.adapters]],
];

export default {
  plugins: ['eslint', 'typescript', 'import', 'oxc', 'unicorn', 'promise'],
  categories: { correctness: 'error' },
  env: { node: true, es2023: true },
  rules: {
    eqeqeq: ['error', 'always'],
    'no-unused-vars': [
      'error',
      { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrorsIgnorePattern: '^_' },
    ],
    'no-var': 'error',
    'prefer-const': 'error',
    'import/no-cycle': 'error',
    'typescript/no-explicit-any': 'error',
    'typescript/no-floating-promises': 'error',
    'typescript/no-misused-promises': 'error',
    'typescript/no-import-type-side-effects': 'error',
    'typescript/no-misused-spread': 'off',
    'typescript/no-base-to-string': 'off',
    'typescript/unbound-method': 'off',
    'unicorn/no-useless-spread': 'off',
  },
  overrides: ROOMS.map(([room, rules]) => ({
    files: [room],
    rules: {
      'no-restricted-imports': [
        'error',
        { patterns: rules.map(([message, ...group]) => ({ group, message })) },
      ],
    },
  })),
  ignorePatterns: [
    'dist',
    'coverage',
    'node_modules',
    'lib/store/redis/scripts/embedded.ts',
    'lib/dashboard/assets/embedded.ts',
    'lib/dashboard/assets/uplot*',
  ],
};
