/** Tests run as native ES modules; swc only strips the types and lowers the decorators. */
const swc = {
  sourceMaps: 'inline',
  module: { type: 'es6' },
  jsc: {
    target: 'es2022',
    parser: { syntax: 'typescript', decorators: true },
    transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: true },
    keepClassNames: true,
  },
};

const shared = {
  rootDir: import.meta.dirname,
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '\\.ts$': ['@swc/jest', swc] },
  moduleNameMapper: {
    '^nestjs-semaphore$': '<rootDir>/lib/index.ts',
    '^nestjs-semaphore/(client|dashboard|server|testing)$': '<rootDir>/lib/$1/index.ts',
    '^(\\.{1,2}/.*)\\.js$': ['$1.js', '$1.ts'],
  },
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/sample-app/(dist|node_modules)/'],
};

const libFolders = ['unit', 'integration', 'e2e', 'conformance', 'faults', 'sample-app'];

export default {
  testTimeout: 90_000,
  // What a finished test file has loaded as modules stays in its worker: without new ones they grew to 1.5 GB, and the
  // collections of so much took a third of the time and stopped tests that have to answer in time.
  workerIdleMemoryLimit: '200MB',
  projects: [
    {
      ...shared,
      displayName: 'lib',
      testMatch: libFolders.map((folder) => `<rootDir>/test/${folder}/**/*.test.ts`),
    },
    {
      ...shared,
      displayName: 'package',
      testMatch: ['<rootDir>/test/package/**/*.test.ts'],
    },
    {
      ...shared,
      displayName: 'soak',
      testMatch: ['<rootDir>/test/soak/**/*.test.ts'],
    },
  ],
};
