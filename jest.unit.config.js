const { globalSetup, globalTeardown, ...shared } = require('./jest.config');

/** The tests that need no Postgres, no Temporal and no build (`npm run test:unit`): they run in seconds. */
module.exports = { ...shared, filter: '<rootDir>/test/support/unit-filter.js', testTimeout: 30_000 };
