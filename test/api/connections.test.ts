import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RunningApi, startApi } from '../../src/api/start-api';
import { readConfig } from '../../src/config';
import type { ConnectionCounts } from '../../src/http/connections';
import { createLog } from '../../src/log';
import { TestApi } from '../support/api';
import { createTestDatabase } from '../support/database';
import { testEnvironment } from '../support/environment';
import { until } from '../support/until';

/** What clients can make the api hold, by sockets that behave as no HTTP client does. */

/** Per connection: see src/http/connections.ts. */
const [UNDER_WAY, UNREAD_BYTES, WAITING_IN_ALL] = [8, 256 * 1024, 16_384];

let database: Awaited<ReturnType<typeof createTestDatabase>>;
let running: RunningApi;
let api: TestApi;
const sockets: Socket[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database?.drop());
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await running?.stop();
});

async function start(clientLimits: object = {}, settings: Record<string, string> = {}) {
  const env = testEnvironment(database.url, settings);
  running = await startApi(readConfig(env), createLog('silent'), { clientLimits });
  api = new TestApi(running.url, env.POSTHORN_BOOTSTRAP_KEY);
  await api.ok('GET', '/webhooks');
}

type Client = { socket: Socket; text: () => string; closed: Promise<unknown> };

/** Reads all, unless it is told not to: then nothing. */
async function open({ reads = true } = {}): Promise<Client> {
  const { hostname, port } = new URL(running.url);
  const socket = connect({ port: Number(port), host: hostname, allowHalfOpen: true });
  sockets.push(socket);
  socket.on('error', () => undefined); // being cut is what some of these are for
  socket.on('end', () => socket.end());
  const closed = new Promise((resolve) => socket.once('close', resolve));
  let text = '';
  if (reads) socket.on('data', (chunk) => (text += chunk));
  else socket.pause();
  await once(socket, 'connect');
  return { socket, text: () => text, closed };
}

/** One that has carried a good key. */
async function openKnown({ reads = true } = {}): Promise<Client> {
  const client = await open();
  client.socket.write(get('/api/v1/webhooks', api.key));
  await until('it to be known', () => statuses(client.text()).length === 1);
  if (!reads) client.socket.pause();
  return client;
}

const get = (path: string, key?: string) =>
  `GET ${path} HTTP/1.1\r\nHost: x\r\n${key ? `Authorization: Bearer ${key}\r\n` : ''}\r\n`;
const statuses = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
const tally = (text: string) => {
  const counts: Record<number, number> = {};
  for (const status of statuses(text)) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
};

/** The most that was held at any time while something went on. */
function watch() {
  const most = { requestsUnderWay: 0, requestsWaiting: 0, unreadBytes: 0, connections: 0 };
  const look = () => {
    const now = running.counts();
    for (const name of Object.keys(most) as (keyof typeof most)[]) most[name] = Math.max(most[name], now[name]);
  };
  const timer = setInterval(look, 1);
  return () => {
    look();
    clearInterval(timer);
    return most;
  };
}

/** Somebody else, on a connection that is new each time. */
const another = async () => {
  const answer = await fetch(`${running.url}/api/v1/webhooks`, {
    headers: { authorization: `Bearer ${api.key}`, connection: 'close' },
  });
  expect(answer.status).toBe(200);
};

const cut = (reason: keyof ConnectionCounts['cut']) =>
  until(`a connection to be cut: ${reason}`, () => running.counts().cut[reason] > 0);

describe('answers that nobody reads', () => {
  test.each<[string, (key: string, event: string) => string]>([
    ['10,000 times the page, in one write', () => get('/docs').repeat(10_000)],
    ['the document, from two addresses of the same page', () => (get('/openapi.json') + get('/docs')).repeat(2_000)],
    ['a large event for a good key', (key, event) => get(`/api/v1/events/${event}`, key).repeat(500)],
    ['problems', () => get('/nothing').repeat(60_000)],
  ])('%s: little is held, others are served, and the connection is cut', async (_what, requests) => {
    await start({ drainMs: 1_000 });
    const event = await api.publish('large.one', { text: 'x'.repeat(200_000) });
    const stop = watch();
    const client = await open({ reads: false });
    client.socket.write(requests(api.key, event.id));
    await until('it to wait', () => running.counts().requestsUnderWay > 0 || running.counts().cut.pipelined > 0);
    for (let n = 0; n < 5; n++) await another();
    await until('it to be gone', () => running.counts().requestsUnderWay === 0);
    const most = stop();
    expect(most.requestsUnderWay).toBeLessThanOrEqual(UNDER_WAY + 1);
    expect(most.requestsWaiting).toBeLessThan(WAITING_IN_ALL);
    // Those that were begun below the bound may go over it.
    expect(most.unreadBytes).toBeLessThan(UNREAD_BYTES + UNDER_WAY * 300_000);
    expect(running.counts()).toMatchObject({ requestsWaiting: 0, unreadBytes: 0 });
  });

  test('an answer that is read a byte at a time is cut by the time that it takes in all', async () => {
    await start({ drainMs: 1_000 });
    const client = await openKnown({ reads: false });
    client.socket.write(get('/docs').repeat(200));
    const timer = setInterval(() => client.socket.read(1), 20);
    try {
      await cut('unread_answer');
    } finally {
      clearInterval(timer);
    }
    await another();
  });

  test('answers that are read in time are not cut, however many', async () => {
    await start({ drainMs: 1_000 });
    const client = await openKnown();
    client.socket.write(get('/docs').repeat(100));
    await until('all to be read', () => statuses(client.text()).length === 101);
    expect(tally(client.text())).toEqual({ 200: 101 });
    expect(running.counts().cut).toMatchObject({ unread_answer: 0, queue_full: 0, pipelined: 0 });
  });
});

describe('requests that are sent before the answers of others', () => {
  test('are all answered in their order, few at a time, while others are served', async () => {
    await start();
    const stop = watch();
    const client = await open();
    const count = 600;
    const ids = Array.from({ length: count }, (_, n) => `n-${n}`);
    client.socket.write(
      ids.map((id) => get('/api/v1/webhooks', api.key).replace('Host: x', `Host: x\r\nX-Request-Id: ${id}`)).join(''),
    );
    for (let n = 0; n < 5; n++) await another();
    await until('all to be answered', () => statuses(client.text()).length === count);
    expect([...client.text().matchAll(/x-request-id: (n-\d+)/gi)].map(([, id]) => id)).toEqual(ids);
    expect(tally(client.text())).toEqual({ 200: count });
    expect(stop().requestsUnderWay).toBeLessThanOrEqual(UNDER_WAY + 1);
  });

  test('may have bodies, also one that comes late', async () => {
    await start();
    const client = await open();
    const body = JSON.stringify({ type: 'order.created', data: { text: 'x'.repeat(20_000) } });
    const post = `POST /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${api.key}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const all = post.repeat(40);
    client.socket.write(all.slice(0, -10_000));
    await until('those that came whole', () => statuses(client.text()).length === 39);
    client.socket.write(all.slice(-10_000));
    await until('the last', () => statuses(client.text()).length === 40);
    expect(tally(client.text())).toEqual({ 202: 40 });
  });

  test.each<[string, string, number]>([
    ['pages', '/docs', 200],
    ['what has no key', '/api/v1/webhooks', 401],
    ['paths that do not exist', '/nothing', 404],
    ['paths of other methods', '/api/v1/publish', 404],
    ['probes', '/readyz', 200],
  ])('without a key are bounded by address: %s', async (_what, path, status) => {
    await start();
    const answers: Response[] = [];
    while (!answers.some((answer) => answer.status === 429)) {
      const some = Array.from({ length: 20 }, async () => {
        const answer = await fetch(`${running.url}${path}`);
        answers.push(answer.clone());
        await answer.arrayBuffer();
      });
      await Promise.all(some);
    }
    // 600 at once, ten more each second.
    const served = answers.filter((answer) => answer.status === status);
    const refused = answers.filter((answer) => answer.status === 429);
    expect(served.length).toBeGreaterThanOrEqual(600);
    expect(served.length).toBeLessThan(5_000);
    expect(served.length + refused.length).toBe(answers.length);
    // One too many is the last of its connection.
    expect(refused[0]!.headers.get('connection')).toBe('close');
    expect(refused[0]!.headers.get('retry-after')).toMatch(/^\d+$/);
    expect(await refused[0]!.text()).toMatch(/"code":"rate_limited".*600/);
    await another();
    expect((await fetch(`${running.url}/livez`)).status).toBe(200);
  });

  test('do not keep what serves for their key once they have gone', async () => {
    await start({}, { POSTHORN_API_MAX_CONCURRENT_REQUESTS: '10' });
    for (let n = 0; n < 5; n++) {
      const client = await open();
      client.socket.write(get('/api/v1/webhooks', api.key).repeat(100));
      await until('the first answer', () => statuses(client.text()).length > 0);
      client.socket.destroy();
    }
    // What was read of a connection before it went may be begun after that.
    await until('all that a key may have to be served at once', async () => {
      const answers = await Promise.all(Array.from({ length: 10 }, () => api.call('GET', '/webhooks')));
      return answers.every(({ status }) => status === 200);
    });
    expect(running.counts().requestsUnderWay).toBe(0);
  });
});

test('requests that wait are bounded in all: whose connection has one more is cut', async () => {
  await start();
  const stop = watch();
  const clients = await Promise.all(Array.from({ length: 12 }, () => openKnown({ reads: false })));
  // Of the smallest requests, some 2,600 come in one read. Their connections have carried a good key, so they may wait.
  const small = `GET /docs HTTP/1.1\r\nHost:\r\n\r\n`;
  await Promise.all(clients.map(({ socket }) => socket.write(small.repeat(10_000))));
  await cut('queue_full');
  await another();
  expect(stop().requestsWaiting).toBeLessThanOrEqual(WAITING_IN_ALL);
});

describe('connections', () => {
  const idle = (client: Client) => {
    let open = true;
    void client.closed.then(() => {
      open = false;
    });
    return () => open;
  };

  test('from one address are bounded: the oldest that has shown no key gives way, one that has does not', async () => {
    await start({ perAddress: 20 });
    const good = await open();
    good.socket.write(get('/api/v1/webhooks', api.key));
    await until('it to be known', () => statuses(good.text()).length === 1);
    const before = running.counts().connections;
    const strangers = [];
    for (let n = 0; n < 60; n++) strangers.push(idle(await open()));
    await until('most to have given way', () => running.counts().cut.gave_way >= 40 + before - 2);
    expect(running.counts().connections).toBeLessThanOrEqual(20);
    expect(strangers.slice(0, 30).some((isOpen) => isOpen())).toBe(false);
    good.socket.write(get('/api/v1/webhooks', api.key));
    await until('it to be served', () => statuses(good.text()).length === 2);
    await another();
  });

  test('are bounded in all, also those of a trusted proxy, which have no bound of their own', async () => {
    await start({ perAddress: 5, connections: 20 }, { POSTHORN_TRUSTED_PROXIES: '127.0.0.0/8' });
    const clients = [];
    for (let n = 0; n < 40; n++) clients.push(await open());
    await cut('full');
    expect(running.counts().connections).toBeGreaterThan(5);
    expect(running.counts().connections).toBeLessThanOrEqual(20);
    expect(running.counts().cut).toMatchObject({ address_full: 0, gave_way: 0 });
  });

  test('that are half closed, or say half of something, leave nothing behind', async () => {
    await start({ headersMs: 1_000 });
    for (const text of [
      '',
      'GET /do',
      get('/docs'),
      get('/docs').repeat(50),
      get('/api/v1/webhooks', api.key).repeat(50),
    ]) {
      const client = await open({ reads: false });
      client.socket.write(text);
      client.socket.end();
      client.socket.resume();
      await client.closed;
    }
    await until(
      'all to be gone',
      () => running.counts().requestsUnderWay === 0 && running.counts().requestsWaiting === 0,
    );
    await another();
  });
});

test('the rest of a body that was refused is not taken for ever', async () => {
  await start();
  const client = await open();
  client.socket.write('POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n');
  let gone = false;
  void client.closed.then(() => {
    gone = true;
  });
  while (!gone) {
    if (!client.socket.write('x'.repeat(100_000))) await Promise.race([once(client.socket, 'drain'), client.closed]);
    await sleep(1);
  }
  expect(statuses(client.text())).toEqual([401]);
  expect(running.counts().cut.rest_of_body).toBe(1);
});
