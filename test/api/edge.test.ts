import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { type RunningApi, startApi } from '../../src/api/start-api';
import { readConfig } from '../../src/config';
import { createLog } from '../../src/log';
import { TestApi } from '../support/api';
import { createTestDatabase } from '../support/database';
import { testEnvironment } from '../support/environment';
import { expectProblem, send } from './support';

/** What the API is like to clients that it has reason to distrust. */

const LIMITS = { headersMs: 300, requestMs: 900 };
let database: Awaited<ReturnType<typeof createTestDatabase>>;
let running: RunningApi;
let api: TestApi;

beforeAll(async () => {
  database = await createTestDatabase();
  ({ running, api } = await start({}));
});
afterAll(async () => {
  await running?.stop();
  await database?.drop();
});

async function start(settings: Record<string, string>, extras = {}) {
  const env = testEnvironment(database.url, settings);
  const started = await startApi(readConfig(env), createLog('silent'), extras);
  return { running: started, api: new TestApi(started.url, env.POSTHORN_BOOTSTRAP_KEY) };
}

const SAFE = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
  'x-powered-by': null,
  server: null,
  'access-control-allow-origin': null,
  'strict-transport-security': null,
};

test.each<[string, string, string, object]>([
  ['a good answer', 'GET', '/api/v1/webhooks', {}],
  ['an answer without body', 'HEAD', '/api/v1/webhooks', {}],
  ['a 401', 'GET', '/api/v1/webhooks', { key: null }],
  ['a 404', 'GET', '/nothing', {}],
  ['a 405', 'PUT', '/api/v1/events', {}],
  ['a 413', 'POST', '/api/v1/events', { body: 'x'.repeat(2 ** 21), headers: { 'content-type': 'application/json' } }],
  ['a probe', 'GET', '/livez', {}],
  ['a preflight', 'OPTIONS', '/api/v1/events', { headers: { origin: 'https://example.com' } }],
  ['a preflight of nothing', 'OPTIONS', '/nothing', { headers: { origin: 'https://example.com' } }],
])('%s carries the security headers, and opens nothing to other origins', async (_what, method, path, options) => {
  const { key = api.key, body, headers = {} } = options as Parameters<typeof send>[3] & object;
  const { headers: got } = await fetch(`${api.url}${path}`, {
    method,
    headers: { ...(key && { authorization: `Bearer ${key}` }), ...headers },
    ...(body !== undefined && { body }),
  });
  expect(Object.fromEntries(Object.keys(SAFE).map((name) => [name, got.get(name)]))).toEqual(SAFE);
  expect([...got.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
});

describe('Strict-Transport-Security', () => {
  const of = async (settings: Record<string, string>, headers: Record<string, string> = {}) => {
    const one = await start(settings);
    try {
      return (await send(one.api, 'GET', '/livez', { headers })).headers.get('strict-transport-security');
    } finally {
      await one.running.stop();
    }
  };
  const overTls = { 'x-forwarded-proto': 'https' };

  test('is there where a trusted proxy says TLS, or the setting does, and nowhere else', async () => {
    expect(await of({ POSTHORN_TRUSTED_PROXIES: '127.0.0.0/8' }, overTls)).toBe('max-age=31536000');
    expect(await of({ POSTHORN_TRUSTED_PROXIES: '127.0.0.0/8' })).toBeNull();
    expect(await of({ POSTHORN_TRUSTED_PROXIES: '10.0.0.0/8' }, overTls)).toBeNull();
    expect(await of({}, overTls)).toBeNull();
    expect(await of({ POSTHORN_HSTS: 'true' })).toBe('max-age=31536000');
  });
});

describe('a body without an announced length', () => {
  /** Sends chunks for as long as the other side takes them. */
  async function pour(key: string) {
    const { hostname, port } = new URL(api.url);
    const sending = request({
      hostname,
      port,
      method: 'POST',
      path: '/api/v1/events',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    });
    sending.on('error', () => undefined); // the API may break off
    let ended = false;
    let sent = 0;
    const more = () => {
      for (let room = true; room && !ended; sent += 65_536) room = sending.write(' '.repeat(65_536));
    };
    sending.on('drain', more);
    more();
    const [answer] = (await once(sending, 'response')) as [import('node:http').IncomingMessage];
    const body = await text(answer);
    ended = true;
    sending.destroy();
    return { status: answer.statusCode, body: JSON.parse(body), sent };
  }

  test('is cut at the limit: the answer does not wait for its end', async () => {
    expect(await pour(api.key)).toMatchObject({ status: 413, body: { code: 'body_too_large' } });
  });

  test('is not read at all without a key', async () => {
    expect(await pour('ph_test_unknown')).toMatchObject({ status: 401 });
  });
});

describe('a slow client', () => {
  let slow: Awaited<ReturnType<typeof start>>;
  beforeAll(async () => {
    slow = await start({}, { clientLimits: LIMITS });
  });
  afterAll(() => slow?.running.stop());

  /** Sends the first text, then the second again and again until the connection is closed; what came back. */
  async function drip(first: string, again: string): Promise<string> {
    const { hostname, port } = new URL(slow.api.url);
    const socket = connect(Number(port), hostname);
    socket.on('error', () => undefined); // writing to what was closed
    const answer = text(socket).catch(() => '');
    socket.write(first);
    const timer = setInterval(() => socket.write(again), 20);
    await once(socket, 'close');
    clearInterval(timer);
    return answer;
  }

  test('that drips its headers is cut off', async () => {
    expect(await drip('GET /livez HTTP/1.1\r\nhost: x\r\n', 'x-a: b\r\n')).toMatch(/^HTTP\/1\.1 408 /);
  });

  test('that says nothing at all is cut off', async () => {
    expect(await drip('', '')).toMatch(/^(HTTP\/1\.1 408 |$)/);
  });

  test('that drips its body is cut off', async () => {
    const head = `POST /api/v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${slow.api.key}\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n`;
    expect(await drip(head, ' ')).toMatch(/^HTTP\/1\.1 (408|400) /);
  });

  test('that goes on with a body that was refused is cut off', async () => {
    const head =
      'POST /api/v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n';
    expect(await drip(head, ' ')).toMatch(/^HTTP\/1\.1 401 /);
  });

  test('does not keep others waiting', async () => {
    expectProblem(await send(slow.api, 'GET', '/api/v1/webhooks', { key: null }), {
      status: 401,
      code: 'unauthorized',
    });
  });
});

describe('GET /sender-addresses', () => {
  test('tells what the installation says, and nothing where it says nothing', async () => {
    expect(await api.ok('GET', '/sender-addresses')).toEqual({ addresses: [] });
    const one = await start({ POSTHORN_SENDER_ADDRESSES: '192.0.2.1,2001:db8::/64' });
    try {
      expect(await one.api.ok('GET', '/sender-addresses')).toEqual({ addresses: ['192.0.2.1', '2001:db8::/64'] });
    } finally {
      await one.running.stop();
    }
  });
});
