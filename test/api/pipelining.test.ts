import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { type RunningApi, startApi } from '../../src/api/start-api';
import { readConfig } from '../../src/config';
import { createLog } from '../../src/log';
import { TestApi } from '../support/api';
import { createTestDatabase } from '../support/database';
import { testEnvironment } from '../support/environment';
import { until } from '../support/until';

/** Who sends many requests at once without a good API key, and who shares an address with them. */

/** See src/http/connections.ts, src/http/held-back.ts. */
const [WAITING, WAITING_OF_SUSPECT, WAITING_FOR_KEY, NEWCOMERS] = [32, 4, 1_024, 20];
/** See src/api/http/anonymous-limit.ts; ten a second come back. */
const STRANGERS_AT_ONCE = 600;
/** One is served, and one more is begun to be read. */
const OTHERS = 2;

let database: Awaited<ReturnType<typeof createTestDatabase>>;
let running: RunningApi;
let api: TestApi;
const sockets: Socket[] = [];

/** Requests that Node made of what it read, by the port that they came from. */
const parsed = new Map<number, number>();
const count = (message: unknown) => {
  const port = (message as { socket: Socket }).socket.remotePort ?? 0;
  parsed.set(port, (parsed.get(port) ?? 0) + 1);
};

beforeAll(async () => {
  database = await createTestDatabase();
  subscribe('http.server.request.start', count);
});
afterAll(async () => {
  unsubscribe('http.server.request.start', count);
  await database?.drop();
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await running?.stop();
  parsed.clear();
});

async function start(settings: Record<string, string> = {}) {
  const env = testEnvironment(database.url, settings);
  running = await startApi(readConfig(env), createLog('silent'));
  api = new TestApi(running.url, env.POSTHORN_BOOTSTRAP_KEY);
  await api.ok('GET', '/webhooks');
}

type Client = { socket: Socket; text: () => string; closed: Promise<unknown>; parsed: () => number };

async function open(): Promise<Client> {
  const { hostname, port } = new URL(running.url);
  const socket = connect({ port: Number(port), host: hostname });
  sockets.push(socket);
  socket.on('error', () => undefined); // being cut is what most of these are for
  const closed = new Promise((resolve) => socket.once('close', resolve));
  let text = '';
  socket.on('data', (chunk) => (text += chunk));
  await once(socket, 'connect');
  const { localPort } = socket;
  return { socket, text: () => text, closed, parsed: () => parsed.get(localPort!) ?? 0 };
}

const BAD_KEY = `phk_test_${'x'.repeat(40)}`;
const ask = (start: string, headers: string[] = [], body = '') =>
  [`${start} HTTP/1.1`, 'Host: x', ...headers, '', body].join('\r\n');
const withKey = (key: string) => `Authorization: Bearer ${key}`;
const statuses = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
const cuts = () => running.counts().cut;

const SHAPES: [string, string][] = [
  ['pages', ask('GET /docs')],
  ['the smallest requests', 'GET / HTTP/1.1\r\nHost:\r\n\r\n'],
  ['probes', ask('GET /readyz')],
  ['paths that do not exist', ask('GET /nothing')],
  // What follows the request that is one too many.
  [
    'pages, then a wish for another protocol',
    ask('GET /docs').repeat(WAITING + OTHERS) + ask('GET /docs', ['Connection: upgrade', 'Upgrade: h2c']),
  ],
  ['pages, then a tunnel', ask('GET /docs').repeat(WAITING + OTHERS) + ask('CONNECT x:1')],
  ['a page, with a key that nobody looks up', ask('GET /docs', [withKey(BAD_KEY)])],
];

describe('without a good key', () => {
  describe.each(SHAPES)('%s', (_what, one) => {
    test.each([1, 5])('are cut after a few, in %i writes', async (writes) => {
      await start();
      const client = await open();
      for (let n = 0; n < writes; n++) client.socket.write(one.repeat(2_000 / writes));
      await client.closed;
      expect(client.parsed()).toBeLessThanOrEqual(WAITING + OTHERS);
      expect(cuts()).toMatchObject({ pipelined: 1, queue_full: 0 });
      expect(running.counts().requestsWaiting).toBe(0);
    });
  });

  // Node has ticks after each part of a body: such a request is served before the next one of the same read is made.
  test.each([
    ['small bodies', ask('POST /api/v1/events', ['Content-Length: 2'], '{}')],
    ['bodies in chunks', ask('POST /api/v1/events', ['Transfer-Encoding: chunked'], '2\r\n{}\r\n0\r\n\r\n')],
  ])('%s are served up to the limit of their address, and then not even read', async (_what, one) => {
    await start();
    const first = await open();
    first.socket.write(one.repeat(5_000));
    await first.closed;
    const parsed = [];
    for (let n = 0; n < 10; n++) {
      const client = await open();
      client.socket.write(one.repeat(2_000));
      await client.closed;
      parsed.push(client.parsed());
    }
    // Of 5,000; some more are let through while this goes on.
    expect(first.parsed()).toBeGreaterThanOrEqual(STRANGERS_AT_ONCE);
    expect(first.parsed()).toBeLessThan(2 * STRANGERS_AT_ONCE);
    expect(parsed.every((requests) => requests <= WAITING + OTHERS)).toBe(true);
    expect(running.counts().requestsWaiting).toBe(0);
  });

  test('with wrong keys, they are cut once the first has been looked up; then a few are enough', async () => {
    await start();
    const one = ask('GET /api/v1/webhooks', [withKey(BAD_KEY)]);
    const first = await open();
    first.socket.write(one.repeat(2_000));
    await first.closed;
    expect(first.parsed()).toBeLessThanOrEqual(WAITING_FOR_KEY + OTHERS);
    const second = await open();
    second.socket.write(one.repeat(2_000));
    await second.closed;
    expect(second.parsed()).toBeLessThanOrEqual(WAITING + OTHERS);
    expect(cuts()).toMatchObject({ pipelined: 2 });
  });

  test('an address whose connections were cut is refused before it is read, but for a few', async () => {
    await start();
    const first = await open();
    first.socket.write(ask('GET /docs').repeat(1_000));
    await first.closed;
    const others = await Promise.all(
      Array.from({ length: 200 }, async () => {
        const client = await open();
        client.socket.write(ask('GET /docs').repeat(1_000));
        await client.closed;
        return client.parsed();
      }),
    );
    const read = others.filter((requests) => requests > 0);
    expect(cuts().held_back).toBeGreaterThan(0);
    expect(cuts().held_back + cuts().pipelined).toBe(201);
    expect(read.length).toBeGreaterThan(0);
    expect(read.length).toBeLessThanOrEqual(200 - cuts().held_back);
    expect(Math.max(...read)).toBeLessThanOrEqual(WAITING_OF_SUSPECT + OTHERS);
  });

  test('an address that is over its limit may send fewer at once, and connect as before', async () => {
    await start();
    // Not pipelined: as people and probes do.
    const agent = new Agent({ keepAlive: true, maxSockets: 6 });
    const answers = await Promise.all(Array.from({ length: 700 }, () => fetched('/docs', agent)));
    agent.destroy();
    expect(answers).toContain(429);
    const client = await open();
    client.socket.write(ask('GET /docs').repeat(20));
    await client.closed;
    expect(client.parsed()).toBeLessThanOrEqual(WAITING_OF_SUSPECT + OTHERS);
    expect(cuts()).toMatchObject({ held_back: 0, pipelined: 1 });
  });
});

/** The status of a GET, once its answer was read. */
const fetched = (path: string, agent?: Agent, key?: string) =>
  new Promise<number | undefined>((resolve, reject) => {
    const headers = key ? { authorization: `Bearer ${key}` } : {};
    request(`${running.url}${path}`, { agent, headers }, (res) => {
      res.resume().once('end', () => resolve(res.statusCode));
    })
      .once('error', reject)
      .end();
  });

describe('with a good key', () => {
  const publish = (n: number, key: string) => {
    const body = JSON.stringify({ type: 'order.created', data: { n } });
    const headers = [withKey(key), `X-Request-Id: n-${n}`, 'Content-Type: application/json'];
    return ask('POST /api/v1/events', [...headers, `Content-Length: ${body.length}`], body);
  };

  test('hundreds of publishes in the first write of a connection are answered in their order', async () => {
    await start();
    const client = await open();
    const numbers = Array.from({ length: 200 }, (_, n) => n);
    client.socket.write(numbers.map((n) => publish(n, api.key)).join(''));
    await until('all to be answered', () => statuses(client.text()).length === 200);
    expect(statuses(client.text()).every((status) => status === 202)).toBe(true);
    const ids = [...client.text().matchAll(/x-request-id: n-(\d+)/gi)].map(([, n]) => Number(n));
    expect(ids).toEqual(numbers);
    expect(cuts()).toMatchObject({ pipelined: 0 });
  });

  test('a connection is served beside a flood from its address, and so is a new one', async () => {
    await start();
    const known = await open();
    known.socket.write(ask('GET /api/v1/webhooks', [withKey(api.key)]));
    await until('it to be known', () => statuses(known.text()).length === 1);
    let ended = false;
    const flood = Array.from({ length: 5 }, async () => {
      while (!ended) {
        const client = await open().catch(() => undefined);
        client?.socket.write(ask('GET /docs').repeat(1_000));
        await client?.closed;
      }
    });
    try {
      await until('the flood to be held back', () => cuts().held_back > 0);
      known.socket.write(Array.from({ length: 200 }, (_, n) => publish(n, api.key)).join(''));
      await until('all of it', () => statuses(known.text()).length === 201);
      // One that is refused comes again, as clients do.
      for (let served = 0; served < 5; ) {
        if ((await fetched('/api/v1/webhooks', undefined, api.key).catch(() => undefined)) === 200) served++;
      }
    } finally {
      ended = true;
      await Promise.all(flood);
    }
    expect(statuses(known.text()).filter((status) => status === 202)).toHaveLength(200);
  });

  test('new connections do not use up what is taken of an address that is held back', async () => {
    await start();
    const stranger = await open();
    stranger.socket.write(ask('GET /docs').repeat(1_000));
    await stranger.closed;
    for (let n = 0; n < 5 * NEWCOMERS; n++) {
      expect(await fetched('/api/v1/webhooks', new Agent({ keepAlive: false }), api.key)).toBe(200);
    }
    expect(cuts()).toMatchObject({ held_back: 0 });
  });
});

test('a browser is not cut: six connections, dozens of requests one after the other', async () => {
  await start();
  const agent = new Agent({ keepAlive: true, maxSockets: 6 });
  const paths = Array.from({ length: 300 }, (_, n) => ['/docs', '/openapi.json', '/livez'][n % 3]!);
  const answers = await Promise.all(paths.map((path) => fetched(path, agent)));
  agent.destroy();
  expect(new Set(answers)).toEqual(new Set([200]));
  expect(Object.values(cuts()).every((cut) => cut === 0)).toBe(true);
});

test('a proxy stands for many: its connections may hold more, and its address is not held back', async () => {
  await start({ POSTHORN_TRUSTED_PROXIES: '127.0.0.0/8' });
  const proxy = await open();
  proxy.socket.write(ask('GET /livez').repeat(500));
  await until('all to be answered', () => statuses(proxy.text()).length === 500);
  const far = await open();
  far.socket.write(ask('GET /livez').repeat(2_000));
  await far.closed;
  expect(far.parsed()).toBeLessThan(2_000);
  for (let n = 0; n < 2 * NEWCOMERS; n++) expect(await fetched('/livez')).toBe(200);
  expect(cuts()).toMatchObject({ pipelined: 1, held_back: 0 });
});
