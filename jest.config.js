/** Tests run the TypeScript directly (swc); real Postgres and Temporal are started once per run by globalSetup. */
module.exports = {
  rootDir: __dirname,
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  transform: { '^.+\\.ts$': ['@swc/jest', { jsc: { target: 'es2023', parser: { syntax: 'typescript' } } }] },
  globalSetup: '<rootDir>/test/support/global-setup.ts',
  globalTeardown: '<rootDir>/test/support/global-teardown.ts',
  // A machine may be ten times slower than the one that this was written on.
  testTimeout: 180_000,
  maxWorkers: 3,
  modulePathIgnorePatterns: ['<rootDir>/dist/'],
};
