import { once } from 'node:events';
import { connect } from 'node:net';
import { Gauge, Registry } from 'prom-client';
import { ConfigError, readConfig } from '../../src/config';
import { createLog } from '../../src/log';
import { serveMetrics } from '../../src/metrics/serve';
import { type RunningMetrics, startMetrics } from '../../src/metrics/start-metrics';
import { scrape } from './support';

const log = createLog('silent');

let metrics: RunningMetrics;
let port: string;
beforeAll(async () => {
  metrics = (await startMetrics(readConfig({ POSTHORN_ADMIN_PORT: '0' }), log))!;
  port = new URL(metrics.url).port;
});
afterAll(() => metrics?.stop());

test('without a port there are no metrics', async () => {
  expect(await startMetrics(readConfig({}), log)).toBeUndefined();
});

test('metrics are served on loopback, for people and for Prometheus with parameters', async () => {
  expect(metrics.url).toMatch(/^http:\/\/127\.0\.0\.1:[1-9]\d*\/metrics$/);
  expect((await scrape(`${metrics.url}?from=prometheus`)).names).toContain('process_cpu_seconds_total');
});

test.each([
  ['GET', '/'],
  ['GET', '/metrics/'],
  ['GET', '/metrics/more'],
  ['GET', '//metrics'],
  ['GET', '/livez'],
  ['GET', '/api/v1/events'],
  ['POST', '/metrics'],
  ['HEAD', '/metrics'],
  ['OPTIONS', '/metrics'],
  ['DELETE', '/metrics'],
])('%s %s is 404', async (method, path) => {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method });
  expect(response.status).toBe(404);
  expect(await response.text()).not.toContain('process_');
});

test('a port that is taken is named with its setting', async () => {
  const again = startMetrics(readConfig({ POSTHORN_ADMIN_PORT: port }), log);
  await expect(again).rejects.toThrow(
    new ConfigError(`Port ${port} on 127.0.0.1 is in use. Stop what uses it, or set POSTHORN_ADMIN_PORT.`),
  );
});

test('metrics that cannot be read are a plain 500, and the next scrape is served', async () => {
  const registry = new Registry();
  let broken = true;
  new Gauge({
    name: 'a',
    help: 'a',
    registers: [registry],
    collect() {
      if (broken) throw new Error('hunter2');
    },
  });
  const server = await serveMetrics(registry, log, { host: '127.0.0.1', port: 0, setting: 'X' });
  try {
    const { status, text } = await scrape(`${server.url}/metrics`);
    expect({ status, text }).toEqual({ status: 500, text: '' });
    broken = false;
    expect((await scrape(`${server.url}/metrics`)).value('a')).toBe(0);
  } finally {
    await server.close();
  }
});

test('a client that says nothing is cut off', async () => {
  const limits = { headersMs: 100, requestMs: 200 };
  const server = await serveMetrics(new Registry(), log, { host: '127.0.0.1', port: 0, setting: 'X', limits });
  try {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    socket.resume();
    await once(socket, 'close');
  } finally {
    await server.close();
  }
});
