import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { createInbox } from '../../src/cli/inbox';

let server: Server;
let inbox: ReturnType<typeof createInbox>;
let port: number;

beforeEach(async () => {
  inbox = createInbox();
  const app = express();
  // As behind a proxy: what a client says of itself must not count.
  app.set('trust proxy', true);
  app.use(inbox.router);
  server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
});
afterEach(() => server.close());

async function ask(method: 'GET' | 'POST', host: string, more: Record<string, string> = {}) {
  const asked = request({ host: '127.0.0.1', port, method, path: '/inbox', headers: { host, ...more } });
  asked.end(method === 'POST' ? '{"secret":"of a delivery"}' : undefined);
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  answer.setEncoding('utf8');
  let body = '';
  for await (const part of answer) body += part;
  return { status: answer.statusCode, body };
}

const OWN = ['127.0.0.1:PORT', '127.0.0.1', '127.8.9.1:PORT', 'localhost:PORT', 'LocalHost', '[::1]:PORT'];
const OTHERS = [
  'attacker.example:PORT',
  'attacker.example',
  'localhost.attacker.example',
  '127.0.0.1.attacker.example',
  'localhost@attacker.example',
  'attacker.example@127.0.0.1',
  '127.attacker.example',
  '192.168.1.5:PORT',
  '0.0.0.0:PORT',
  '[::2]:PORT',
  'rebind.localhost.example:80:80',
  '127.0.0.1:PORT/attacker.example',
];

test.each(OWN)('the inbox is shown to %s', async (host) => {
  expect((await ask('POST', host.replace('PORT', String(port)))).status).toBe(204);
  const shown = await ask('GET', host.replace('PORT', String(port)));
  expect(shown).toMatchObject({ status: 200, body: expect.stringContaining('of a delivery') });
});

test.each(OTHERS)('a page that calls itself %s neither reads nor fills it', async (host) => {
  expect((await ask('POST', '127.0.0.1')).status).toBe(204);
  for (const method of ['GET', 'POST'] as const) {
    const forwarded = { 'x-forwarded-host': '127.0.0.1', origin: 'http://127.0.0.1' };
    const answer = await ask(method, host.replace('PORT', String(port)), forwarded);
    expect(answer.status).toBe(421);
    expect(answer.body).not.toContain('of a delivery');
  }
  const { data } = JSON.parse((await ask('GET', '127.0.0.1')).body);
  expect(data).toHaveLength(1);
});

test.each([
  ['horn.test', 'horn.test:8420'],
  ['Horn.Test', 'horn.TEST'],
  ['192.168.1.5', '192.168.1.5:8420'],
  ['fd00::5', '[fd00::5]:8420'],
])('the host that is configured (%s) may be asked for as well, and no other', async (configured, host) => {
  expect((await ask('GET', host)).status).toBe(421);
  inbox.expectHost(configured);
  expect((await ask('GET', host)).status).toBe(200);
  expect((await ask('GET', 'localhost')).status).toBe(200);
  expect((await ask('GET', 'other.test')).status).toBe(421);
});
