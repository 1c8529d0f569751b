import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startApi } from '../../src/api/start-api';
import { greet } from '../../src/cli/greeting';
import { createInbox } from '../../src/cli/inbox';
import { type Stack, startStack } from '../../src/cli/stack';
import { readConfig } from '../../src/config';
import { generateApiKey, hashApiKey } from '../../src/db/store/api-keys';
import { createLog } from '../../src/log';
import { TestApi } from '../support/api';
import { createTestDatabase, queryOnce } from '../support/database';
import { testEnvironment } from '../support/environment';
import { type Receiver, startReceiver } from '../support/receiver';

/**
 * `posthorn dev` over the run's own Postgres and Temporal, again and again on one data folder, as somebody starts it who
 * has changed something meanwhile. Each start has another port.
 */
const before = { ...process.env };
const dataDir = mkdtempSync(path.join(tmpdir(), 'posthorn-test-'));
let database: Awaited<ReturnType<typeof createTestDatabase>>;
let settings: Record<string, string>;
/** A webhook of somebody's own, which asks for everything there is. */
let receiver: Receiver;

type Running = { stack: Stack; api: TestApi; said: string[]; greeting: Awaited<ReturnType<typeof greet>> };

beforeAll(async () => {
  database = await createTestDatabase();
  const { DATABASE_URL, TEMPORAL_ADDRESS, POSTHORN_TASK_QUEUE, POSTHORN_PORT, POSTHORN_LOG_LEVEL } = testEnvironment(
    database.url,
  );
  settings = { DATABASE_URL, TEMPORAL_ADDRESS, POSTHORN_TASK_QUEUE, POSTHORN_PORT, POSTHORN_LOG_LEVEL } as Record<
    string,
    string
  >;
  receiver = await startReceiver();
  await during({}, ({ api }) => api.createWebhook(receiver, { events: ['*', 'posthorn.*'] }));
});
afterAll(async () => {
  restoreEnvironment();
  await receiver?.close();
  await database?.drop();
  rmSync(dataDir, { recursive: true, force: true });
});

/** Starts everything as `posthorn dev` does, looks at it, and stops it. */
async function during<T>(env: Record<string, string>, look: (running: Running) => T | Promise<T>): Promise<T> {
  for (const name of Object.keys(process.env))
    if (/^(POSTHORN_(?!TEST_)|TEMPORAL_)/.test(name)) delete process.env[name];
  Object.assign(process.env, settings, env);
  const said: string[] = [];
  const inbox = createInbox();
  const stack = await startStack({ dataDir, router: inbox.router, say: (line) => said.push(line) });
  try {
    const greeting = await greet(stack, inbox);
    return await look({ stack, api: new TestApi(stack.url, stack.apiKey), said, greeting });
  } finally {
    await stack.stop();
  }
}

/** What somebody does between two starts: an api is enough for that. */
async function between(change: (api: TestApi) => unknown): Promise<void> {
  const { apiKey, encryptionKeys } = JSON.parse(readFileSync(path.join(dataDir, 'dev-keys.json'), 'utf8'));
  const config = readConfig({
    ...settings,
    POSTHORN_BOOTSTRAP_KEY: apiKey,
    POSTHORN_ENCRYPTION_KEYS: encryptionKeys,
  });
  const api = await startApi(config, createLog('silent'));
  try {
    await change(new TestApi(api.url, apiKey));
  } finally {
    await api.stop();
  }
}

function restoreEnvironment(): void {
  for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
  Object.assign(process.env, before);
}

const inboxId = () => (JSON.parse(readFileSync(path.join(dataDir, 'dev-inbox.json'), 'utf8')) as { id: string }).id;
const nothing = () => undefined;

type Situation = { before?: (api: TestApi) => unknown; env?: Record<string, string> };

describe('a start greets the inbox, and nobody else,', () => {
  const schema = { type: 'object', required: ['sku'], properties: { sku: { type: 'string' } } };
  test.each<[string, Situation]>([
    [
      'when order.created has a schema of its own',
      {
        before: async (api) => {
          await api.ok('POST', '/event-types', { name: 'order.created' });
          await api.ok('POST', '/event-types/order.created/versions', { version: '1.0', schema });
        },
      },
    ],
    ['after the seed', { before: (api) => api.ok('POST', '/event-types/seed') }],
    [
      'when unknown types and versions are refused',
      {
        before: (api) =>
          api.ok('PATCH', '/settings', { unknown_event_types: 'refuse', unknown_event_versions: 'refuse' }),
      },
    ],
    [
      'when endpoints must be verified',
      { before: (api) => api.ok('PATCH', '/settings', { endpoint_verification: 'required' }) },
    ],
    ['when the installation requires it', { env: { POSTHORN_MIN_ENDPOINT_VERIFICATION: 'required' } }],
    ['on every interface', { env: { POSTHORN_HOST: '0.0.0.0' } }],
    ['on every interface of IPv6', { env: { POSTHORN_HOST: '::' } }],
    [
      'on a name, with blocks of its own',
      { env: { POSTHORN_HOST: 'localhost', POSTHORN_ALLOWED_CIDRS: '10.0.0.0/8' } },
    ],
    ['when its worker takes only what is not urgent', { env: { POSTHORN_PRIORITIES: 'low' } }],
    ['when its webhook was paused', { before: (api) => api.ok('POST', `/webhooks/${inboxId()}/pause`) }],
    ['when its webhook was disabled', { before: (api) => api.ok('POST', `/webhooks/${inboxId()}/disable`) }],
    [
      'when its secret was rotated',
      { before: (api) => api.ok('POST', `/webhooks/${inboxId()}/secret/rotate`, { grace: '0s' }) },
    ],
    [
      'when its webhook wants other events',
      {
        before: (api) =>
          api.ok('PATCH', `/webhooks/${inboxId()}`, {
            events: ['none.such'],
            filter: { 'data.total': { $gt: 1 } },
            payload: 'minimal',
            payload_version: '9.9',
          }),
      },
    ],
    ['when its webhook was deleted', { before: (api) => api.ok('DELETE', `/webhooks/${inboxId()}`) }],
    [
      'when the note of its webhook was cut off',
      { before: () => writeFileSync(path.join(dataDir, 'dev-inbox.json'), '{"id":') },
    ],
  ])('%s', async (_what, { before: change = nothing, env = {} }) => {
    await between(change);
    await during(env, async ({ stack, greeting }) => {
      expect(greeting).toMatchObject({ message: { type: 'posthorn.greeting', verified: true } });
      expect(new URL(stack.url).hostname).toMatch(/^(127\.0\.0\.1|localhost)$/);
      expect((await fetch(`${stack.url}/inbox`)).status).toBe(200);
    });
    expect(receiver.requests.filter(({ headers }) => headers['x-webhook-event'])).toEqual([]);
  });

  test('after its API key was revoked: it makes another one, and keeps it', async () => {
    const { apiKey: revoked } = JSON.parse(readFileSync(path.join(dataDir, 'dev-keys.json'), 'utf8'));
    await revoke(revoked);
    const made = await during({}, async ({ stack, said, greeting, api }) => {
      expect(greeting).toMatchObject({ message: { verified: true } });
      expect(said).toContainEqual(expect.stringMatching(/API key was revoked or has expired: .* another one/));
      expect((await api.call('GET', '/webhooks')).status).toBe(200);
      return stack.apiKey;
    });
    expect(made).not.toBe(revoked);
    expect(JSON.parse(readFileSync(path.join(dataDir, 'dev-keys.json'), 'utf8')).apiKey).toBe(made);
  });

  test('after the file of its keys was cut off', async () => {
    writeFileSync(path.join(dataDir, 'dev-keys.json'), '{"apiKey":"ph_');
    await during({}, ({ greeting, said }) => {
      expect(greeting).toMatchObject({ message: { verified: true } });
      expect(said).toContainEqual(expect.stringMatching(/^Warning: .*dev-keys\.json could not be read/));
    });
    expect(readFileSync(path.join(dataDir, 'dev-keys.json.unusable'), 'utf8')).toBe('{"apiKey":"ph_');
  });
});

describe('a start says why it could not greet the inbox, and is ready,', () => {
  const revoked = generateApiKey('dev');
  beforeAll(async () => {
    await between((api) => api.ok('GET', '/webhooks')); // makes the tenant
    await queryOnce(
      database.url,
      `insert into api_keys (id, tenant_id, name, key_hash, scopes, created_by)
       select gen_random_uuid(), id, 'mine', ${hashOf(revoked)}, '{read,publish,manage}', 'cli' from tenants`,
    );
    await revoke(revoked);
  });

  test.each<[string, Record<string, string>, RegExp]>([
    ['where loopback is denied', { POSTHORN_DENIED_CIDRS: '127.0.0.0/8' }, /refused|blocked|denied/],
    ['where http is not allowed', { POSTHORN_ALLOW_HTTP: 'false' }, /must begin with https/],
    ['with a key that was revoked', { POSTHORN_BOOTSTRAP_KEY: revoked }, /401/],
    ['with a key that may ask once a day', { POSTHORN_API_RATE_LIMIT: '1/1d' }, /429/],
  ])('%s', async (_what, env, reason) => {
    await during(env, async ({ stack, greeting }) => {
      expect(greeting).toMatchObject({ trouble: expect.stringMatching(reason) });
      expect((await fetch(`${stack.url}/readyz`)).status).toBe(200);
    });
  });

  test('and nothing of that is left behind for the next start', async () => {
    await during({}, ({ greeting }) => expect(greeting).toMatchObject({ message: { verified: true } }));
    expect(await queryOnce(database.url, 'select from delivery_queue')).toEqual([]);
  });
});

const hashOf = (key: string) => `'\\x${hashApiKey(key).toString('hex')}'`;
const revoke = (key: string) =>
  queryOnce(database.url, `update api_keys set revoked_at = now() where key_hash = ${hashOf(key)}`);
