import { connect, createServer, type Server, type Socket } from 'node:net';
import { type RunningApi, startApi } from '../../src/api/start-api';
import { readConfig } from '../../src/config';
import { createLog } from '../../src/log';
import { TestApi } from '../support/api';
import { createTestDatabase } from '../support/database';
import { testEnvironment } from '../support/environment';
import { expectProblem, send } from './support';

/** Postgres goes away under a running api, and comes back: a relay between the two is closed and opened. */

let database: Awaited<ReturnType<typeof createTestDatabase>>;
let line: Awaited<ReturnType<typeof openLine>>;
let running: RunningApi;
let api: TestApi;

beforeAll(async () => {
  database = await createTestDatabase();
  const direct = new URL(database.url);
  line = await openLine(Number(direct.port), direct.hostname);
  direct.host = `127.0.0.1:${line.port}`;
  const env = testEnvironment(direct.href);
  running = await startApi(readConfig(env), createLog('silent'));
  api = new TestApi(running.url, env.POSTHORN_BOOTSTRAP_KEY);
});
afterAll(async () => {
  await running?.stop();
  await line?.cut();
  await database?.drop();
});

test('while the database is away every request is answered 503, and afterwards as before', async () => {
  const { id } = await api.createWebhook({ url: 'http://127.0.0.1:9' });
  await line.cut();
  for (const [method, path, body] of [
    ['POST', '/events', { type: 'a', data: {} }],
    ['GET', `/webhooks/${id}`, undefined],
    ['PATCH', `/webhooks/${id}`, { active: false }],
  ] as const) {
    const answer = await api.call(method, path, body);
    expectProblem(answer, { status: 503, code: 'database_unavailable' });
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(JSON.stringify(answer.body)).not.toMatch(/ECONN|127\.0\.0\.1|postgres/i);
  }
  expect(await send(api, 'GET', '/livez', { key: null })).toMatchObject({ status: 200 });
  expect(await send(api, 'GET', '/readyz', { key: null })).toMatchObject({
    status: 503,
    body: { status: 'not_ready', database: 'unreachable' },
  });

  await line.mend();
  expect(await send(api, 'GET', '/readyz', { key: null })).toMatchObject({ status: 200 });
  expect(await api.ok('GET', `/webhooks/${id}`)).toMatchObject({ active: true });
  expect(await api.publish()).toMatchObject({ deliveries: 1 });
});

async function openLine(targetPort: number, targetHost: string) {
  const sockets = new Set<Socket>();
  const server: Server = createServer((near) => {
    const far = connect(targetPort, targetHost);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('error', () => to.destroy());
      from.on('close', () => to.destroy());
      from.pipe(to);
    }
  });
  const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  await listen(0);
  const { port } = server.address() as { port: number };
  return {
    port,
    mend: () => listen(port),
    cut: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
        sockets.clear();
      }),
  };
}
