import { type RunningApi, startApi } from '../../src/api/start-api';
import { readConfig } from '../../src/config';
import { generateSecret } from '../../src/egress/secrets';
import { createLog } from '../../src/log';
import { TestApi } from '../support/api';
import { createTestDatabase } from '../support/database';
import { testEnvironment } from '../support/environment';
import { until } from '../support/until';
import { send } from './support';

let database: Awaited<ReturnType<typeof createTestDatabase>>;
let running: RunningApi;
let api: TestApi;
const lines: string[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  const env = testEnvironment(database.url);
  const log = createLog('debug', { write: (line: string) => void lines.push(line) });
  running = await startApi(readConfig(env), log);
  api = new TestApi(running.url, env.POSTHORN_BOOTSTRAP_KEY);
});
afterAll(async () => {
  await running?.stop();
  await database?.drop();
});

/** The line of a request; it is written once the connection is done with the answer. */
const lineOf = (requestId: string) =>
  until(`the line of ${requestId}`, () => lines.find((line) => line.includes(`"request_id":"${requestId}"`)));

test('a request is one line: which route, what came of it, and whose it was', async () => {
  await api.call('GET', '/webhooks?limit=5', undefined, { 'x-request-id': 'good-1' });
  await api.call('POST', '/events', '{', { 'x-request-id': 'bad-1' });
  const common = { level: 30, time: expect.any(String), event: 'request', duration_ms: expect.any(Number) };
  const tenant_id = expect.stringMatching(/^ten_/);
  expect(JSON.parse(await lineOf('good-1'))).toEqual({
    ...common,
    request_id: 'good-1',
    route: 'GET /webhooks',
    status: 200,
    tenant_id,
  });
  expect(JSON.parse(await lineOf('bad-1'))).toEqual({
    ...common,
    request_id: 'bad-1',
    route: 'POST /events',
    status: 400,
    problem: 'malformed_json',
    tenant_id,
  });
});

test('no key, secret, body, URL or id of a path gets into the log', async () => {
  const secret = generateSecret();
  const { id } = await api.createWebhook(
    { url: 'http://marked-host.example.com' },
    { secret, metadata: { a: 'marked-value' } },
  );
  await api.call('POST', '/events', { type: 'marked.type', data: { card: 'marked-data' } });
  await api.call('GET', `/webhooks/${id}?marked=query`);
  await api.call('GET', '/marked-path');
  await send(api, 'GET', '/api/v1/events', { key: 'marked-key' });
  await api.call('DELETE', `/webhooks/${id}`, undefined, { 'x-request-id': 'last' });
  await lineOf('last');
  const all = lines.join('');
  for (const hidden of ['marked', secret, api.key, id, 'whsec']) expect(all).not.toContain(hidden);
});

test('probes and paths that do not exist leave no line', async () => {
  await send(api, 'GET', '/livez', { headers: { 'x-request-id': 'probe' } });
  await send(api, 'GET', '/favicon.ico', { headers: { 'x-request-id': 'nothing' } });
  await api.call('GET', '/webhooks', undefined, { 'x-request-id': 'after' });
  await lineOf('after');
  expect(lines.join('')).not.toMatch(/"(probe|nothing)"/);
});
