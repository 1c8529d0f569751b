import { randomBytes } from 'node:crypto';
import { generateApiKey } from '../../src/db/store/api-keys';

export type TestEnvironment = Record<string, string> & { POSTHORN_BOOTSTRAP_KEY: string };

/**
 * Settings of an installation under test: its own task queue, keys and port, loopback receivers allowed.
 * Temporal is the run's shared dev server unless `overrides` names another.
 */
export function testEnvironment(databaseUrl: string, overrides: Record<string, string> = {}): TestEnvironment {
  return {
    DATABASE_URL: databaseUrl,
    TEMPORAL_ADDRESS: process.env.POSTHORN_TEST_TEMPORAL_ADDRESS!,
    POSTHORN_TASK_QUEUE: `test-${randomBytes(6).toString('hex')}`,
    POSTHORN_PORT: '0',
    POSTHORN_BOOTSTRAP_KEY: generateApiKey('test'),
    POSTHORN_ENCRYPTION_KEYS: `t1:${randomBytes(32).toString('base64')}`,
    POSTHORN_ALLOW_HTTP: 'true',
    POSTHORN_ALLOWED_CIDRS: '127.0.0.0/8,::1/128',
    POSTHORN_SHUTDOWN_GRACE: '2s',
    POSTHORN_API_RATE_LIMIT: '1000000/1s', // a test that goes fast is not refused
    POSTHORN_LOG_LEVEL: process.env.TEST_LOG_LEVEL ?? 'silent',
    ...overrides,
  };
}
