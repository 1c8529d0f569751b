import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Stack, startStack } from '../../src/cli/stack';
import { generateApiKey } from '../../src/db/store/api-keys';
import { postgresUser } from '../../src/embedded/postgres-user';
import { TestApi } from '../support/api';
import { type Receiver, startReceiver } from '../support/receiver';
import { until } from '../support/until';

jest.setTimeout(300_000);
const LIMIT_MS = 120_000;

const before = { ...process.env };
const dataDir = mkdtempSync(path.join(tmpdir(), 'posthorn-test-'));
let stack: Stack | undefined;
let receiver: Receiver;

afterAll(async () => {
  await stack?.stop();
  await receiver?.close();
  for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
  Object.assign(process.env, before);
  rmSync(dataDir, { recursive: true, force: true });
});

const modeOf = (name: string) => statSync(path.join(dataDir, name)).mode & 0o777;
const events = () =>
  readFileSync(path.join(dataDir, 'posthorn.log'), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));

test('everything in one process: closed folder, said settings, no key for the embedded Temporal, which comes back', async () => {
  const encryptionKeys = `dev1:${randomBytes(32).toString('base64')}`;
  const keys = { apiKey: generateApiKey('dev'), encryptionKeys };
  writeFileSync(path.join(dataDir, 'dev-keys.json'), JSON.stringify(keys));
  chmodSync(path.join(dataDir, 'dev-keys.json'), 0o644);
  chmodSync(dataDir, 0o755);
  for (const name of Object.keys(process.env)) if (/^(POSTHORN_|TEMPORAL_)/.test(name)) delete process.env[name];
  // Meant for a cluster; the embedded server has no TLS.
  Object.assign(process.env, { POSTHORN_PORT: '0', TEMPORAL_API_KEY: 'of-a-cluster', POSTHORN_MAX_IN_FLIGTH: '5' });
  const said: string[] = [];
  stack = await startStack({ dataDir, say: (line) => said.push(line) });

  expect(modeOf('.')).toBe(postgresUser() ? 0o710 : 0o700);
  expect(modeOf('dev-keys.json')).toBe(0o600);
  const typo = /^Warning: POSTHORN_MAX_IN_FLIGTH is no setting and has no effect; is POSTHORN_MAX_IN_FLIGHT meant\?$/;
  expect(said.filter((line) => typo.test(line))).toHaveLength(1);

  const api = new TestApi(stack.api.url, stack.apiKey);
  receiver = await startReceiver();
  await api.createWebhook(receiver, { events: ['a.b'], mode: 'workflow' });
  const [first] = await api.publishDeliveries('a.b', 1);
  await api.untilStatus(first!, 'delivered', LIMIT_MS);

  const { serverPid } = JSON.parse(readFileSync(path.join(dataDir, 'temporal.db.running'), 'utf8'));
  process.kill(serverPid, 'SIGKILL');
  await until('it to be restarted', () => said.includes('The embedded Temporal works again'), LIMIT_MS);
  expect(said).toContain('Restarting the embedded Temporal: it ended (SIGKILL)');
  const [second] = await api.publishDeliveries('a.b', 1);
  await api.untilStatus(second!, 'delivered', LIMIT_MS);

  await stack.stop();
  const logged = events();
  expect(logged).toContainEqual(expect.objectContaining({ event: 'start_warning', about: 'POSTHORN_MAX_IN_FLIGTH' }));
  expect(logged).toContainEqual(expect.objectContaining({ event: 'temporal_restarting', err: 'it ended (SIGKILL)' }));
  expect(logged).toContainEqual(expect.objectContaining({ event: 'temporal_restarted' }));
});
