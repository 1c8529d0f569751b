import { randomBytes } from 'node:crypto';
import { ConfigError, readConfig, requireSetting } from '../src/config';

/** Stands in every value that is not usable here, and may stand in no message. */
const VALUE = 'hunter2';

/** 32 bytes that are no secret. */
const weak = Buffer.alloc(32, 0x61).toString('base64');

function problemOf(env: NodeJS.ProcessEnv): string {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error(`these settings were taken: ${JSON.stringify(env)}`);
}

test.each([
  ['DATABASE_URL', `${VALUE}`],
  ['DATABASE_URL', `mysql://user:${VALUE}@db/posthorn`],
  ['POSTHORN_DB_POOL_SIZE', `1${VALUE}`],
  ['POSTHORN_DB_POOL_SIZE', '1'],
  ['TEMPORAL_TLS', VALUE],
  ['TEMPORAL_UI_URL', VALUE],
  ['POSTHORN_TASK_QUEUE', `${VALUE} queue`],
  ['POSTHORN_PORT', VALUE],
  ['POSTHORN_PORT', '65536'],
  ['POSTHORN_PORT', '80.5'],
  ['POSTHORN_ADMIN_PORT', VALUE],
  ['POSTHORN_ADMIN_PORT', '65536'],
  ['POSTHORN_ADMIN_PORT', '-1'],
  ['POSTHORN_ADMIN_PORT', 'off'],
  ['POSTHORN_BOOTSTRAP_KEY', `ph_test_${VALUE}`],
  ['POSTHORN_ENCRYPTION_KEYS', VALUE],
  ['POSTHORN_ENCRYPTION_KEYS', `k1:${Buffer.from(VALUE).toString('base64')}`],
  ['POSTHORN_ENCRYPTION_KEYS', `k1:${weak}`],
  ['POSTHORN_ENCRYPTION_KEYS', `k1:${randomBytes(32).toString('base64')},k2:${weak}`],
  ['POSTHORN_BOOTSTRAP_KEY', `ph_live_${'A'.repeat(43)}`],
  ['POSTHORN_BOOTSTRAP_KEY', `ph_live_${Buffer.from(Array.from({ length: 32 }, (_, i) => i)).toString('base64url')}`],
  ['POSTHORN_API_RATE_LIMIT', VALUE],
  ['POSTHORN_API_RATE_LIMIT', '0/1s'],
  ['POSTHORN_TRUSTED_PROXIES', VALUE],
  ['POSTHORN_TRUSTED_PROXIES', '10.0.0.1'],
  ['POSTHORN_HSTS', 'yes'],
  ['POSTHORN_SENDER_ADDRESSES', VALUE],
  ['POSTHORN_SENDER_ADDRESSES', '192.0.2.1,192.0.2.0/33'],
  ['POSTHORN_ALLOW_HTTP', 'yes'],
  ['POSTHORN_ALLOWED_CIDRS', VALUE],
  ['POSTHORN_ALLOWED_CIDRS', '10.0.0.0/8,10.0.0.0/33'],
  ['POSTHORN_DENIED_CIDRS', VALUE],
  ['POSTHORN_DENIED_CIDRS', '10.0.0.1'],
  ['POSTHORN_ALLOW_SINGLE_LABEL_NAMES', 'yes'],
  ['POSTHORN_ALLOW_WEAK_SECRETS', 'yes'],
  ['POSTHORN_DNS_SERVERS', VALUE],
  ['POSTHORN_DNS_SERVERS', '192.0.2.53,localhost'],
  ['POSTHORN_EGRESS_PROXY', VALUE],
  ['POSTHORN_EGRESS_PROXY', `socks5://user:${VALUE}@proxy.example`],
  ['POSTHORN_EGRESS_PROXY', `http://${VALUE}:${VALUE}@proxy.example/path`],
  ['POSTHORN_MIN_ENDPOINT_VERIFICATION', VALUE],
  ['TEMPORAL_UI_URL', VALUE],
  ['POSTHORN_CONNECT_TIMEOUT', VALUE],
  ['POSTHORN_SHUTDOWN_GRACE', '5'],
  ['POSTHORN_AUDIT_LOG_RETENTION', VALUE],
  ['POSTHORN_AUDIT_LOG_RETENTION', '23h'],
  ['POSTHORN_REPLAY_RETENTION', '36501d'],
  ['POSTHORN_MAX_IN_FLIGHT', '0'],
  ['POSTHORN_REPLAY_RATE', VALUE],
  ['POSTHORN_LOG_LEVEL', VALUE],
])('%s=%s is named, and its value is not repeated', (name, value) => {
  const message = problemOf({ [name]: value });
  expect(message).toMatch(new RegExp(`^These settings are not usable:\n {2}${name}: .+`));
  for (const part of [VALUE, ...value.split(/[:,_]/).filter((text) => text.length > 40)]) {
    expect(message).not.toContain(part);
  }
  expect(message.split('\n')).toHaveLength(2);
});

test('every setting that is wrong is named at once', () => {
  const message = problemOf({ POSTHORN_PORT: VALUE, POSTHORN_ALLOW_HTTP: VALUE, POSTHORN_LOG_LEVEL: VALUE });
  for (const name of ['POSTHORN_PORT', 'POSTHORN_ALLOW_HTTP', 'POSTHORN_LOG_LEVEL']) expect(message).toContain(name);
});

test('half a pair of client certificate and key is refused', () => {
  expect(problemOf({ TEMPORAL_TLS_CERT_FILE: VALUE })).toContain('TEMPORAL_TLS_KEY_FILE: must be set as well');
  expect(problemOf({ TEMPORAL_TLS_KEY_FILE: VALUE })).toContain('TEMPORAL_TLS_CERT_FILE: must be set as well');
});

test('nothing has to be set, and an empty variable is one that is not set', () => {
  const config = readConfig({ POSTHORN_PORT: '', DATABASE_URL: '', POSTHORN_LOG_LEVEL: '' });
  expect(config).toEqual(readConfig({}));
  expect(config).toMatchObject({
    POSTHORN_HOST: '127.0.0.1',
    POSTHORN_PORT: 8420,
    POSTHORN_ALLOW_HTTP: false,
    POSTHORN_ALLOWED_CIDRS: [],
    POSTHORN_SHUTDOWN_GRACE: 40_000,
  });
});

test('metrics are served on loopback, and only where a port is set', () => {
  expect(readConfig({ POSTHORN_ADMIN_PORT: '' }).POSTHORN_ADMIN_PORT).toBeUndefined();
  const config = readConfig({ POSTHORN_ADMIN_PORT: '0' });
  expect(config).toMatchObject({ POSTHORN_ADMIN_HOST: '127.0.0.1', POSTHORN_ADMIN_PORT: 0 });
});

test('lists, durations and flags are read', () => {
  const config = readConfig({
    POSTHORN_ALLOWED_CIDRS: ' 10.0.0.0/8, ,::1/128 ',
    POSTHORN_RECONCILE_EVERY: '1.5s',
    TEMPORAL_TLS: 'true',
  });
  expect(config.POSTHORN_ALLOWED_CIDRS).toEqual(['10.0.0.0/8', '::1/128']);
  expect(config.POSTHORN_RECONCILE_EVERY).toBe(1_500);
  expect(config.TEMPORAL_TLS).toBe(true);
});

test('the keyring keeps the order of its keys: the first one seals', () => {
  const [first, second] = [randomBytes(32), randomBytes(32)];
  const config = readConfig({
    POSTHORN_ENCRYPTION_KEYS: `new1:${first.toString('base64')},old1:${second.toString('base64')}`,
  });
  expect([...config.POSTHORN_ENCRYPTION_KEYS!]).toEqual([
    ['new1', first],
    ['old1', second],
  ]);
});

test('a setting that a command needs is named', () => {
  expect(() => requireSetting(readConfig({}), 'DATABASE_URL')).toThrow('DATABASE_URL must be set for this command.');
  expect(requireSetting(readConfig({ DATABASE_URL: 'postgres://db/x' }), 'DATABASE_URL')).toBe('postgres://db/x');
});

test('no setting has a key by default', () => {
  const config = readConfig({});
  expect(config.POSTHORN_ENCRYPTION_KEYS).toBeUndefined();
  expect(config.POSTHORN_BOOTSTRAP_KEY).toBeUndefined();
});

test('the message about a weak key says which one and what to do', () => {
  const good = randomBytes(32).toString('base64');
  expect(problemOf({ POSTHORN_ENCRYPTION_KEYS: `good:${good},bad:${weak}` })).toBe(
    'These settings are not usable:\n  POSTHORN_ENCRYPTION_KEYS: the key "bad" has fewer than 16 different bytes: ' +
      'make one with crypto.randomBytes(32)',
  );
});

test('addresses stand alone or as blocks', () => {
  const config = readConfig({ POSTHORN_SENDER_ADDRESSES: '192.0.2.1, 2001:db8::/64,2001:db8:1::5' });
  expect(config.POSTHORN_SENDER_ADDRESSES).toEqual(['192.0.2.1', '2001:db8::/64', '2001:db8:1::5']);
});

test.each([
  ['POSTHORN_PORT', 'x', 'must be a whole number from 0 to 65535'],
  ['POSTHORN_DB_POOL_SIZE', '1', 'must be a whole number of at least 2'],
  ['POSTHORN_LOG_LEVEL', 'loud', 'must be one of debug, info, warn, error or silent'],
  ['POSTHORN_ALLOW_HTTP', 'yes', 'must be one of true or false'],
  ['POSTHORN_TASK_QUEUE', 'a b', 'must be 1 to 100 letters, digits, dashes or underscores'],
  ['DATABASE_URL', 'mysql://db/x', 'must be a URL such as postgres://user@db.example.com:5432/posthorn'],
])('%s=%s: %s', (name, value, rule) => {
  expect(problemOf({ [name]: value })).toBe(`These settings are not usable:\n  ${name}: ${rule}`);
});
