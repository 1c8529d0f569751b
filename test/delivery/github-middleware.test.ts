import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createNodeMiddleware, type EmitterWebhookEvent, Webhooks } from '@octokit/webhooks';
import { parsePublicId } from '../../src/domain/ids';
import { installationForFile } from '../support/for-tests';

/** GitHub's own middleware, behind a receiver that drops what it has had: by the delivery header, as GitHub advises. */

const installation = installationForFile();
const SECRET = 'f3a1c07be59d4482a6610c9d';
const servers: Server[] = [];
afterAll(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

const quiet = () => {};
const QUIET = { debug: quiet, info: quiet, warn: quiet, error: quiet };

type Seen = { id: string; name: string; payload: unknown };

async function startMiddleware() {
  const webhooks = new Webhooks({ secret: SECRET });
  const handled = new Map<string, Seen>();
  const seen: Seen[] = [];
  webhooks.onAny((event: EmitterWebhookEvent) => {
    const { id, name, payload } = event as unknown as Seen;
    seen.push({ id, name, payload });
    handled.set(id, { id, name, payload });
  });
  const middleware = createNodeMiddleware(webhooks, { path: '/hook', log: QUIET });
  const statuses: number[] = [];
  const server = createServer((request, response) => {
    response.on('finish', () => statuses.push(response.statusCode));
    middleware(request, response).catch(() => response.destroy());
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, handled, seen, statuses };
}

test('@octokit/webhooks takes every event of a webhook with the style github, each with a GUID of its own', async () => {
  const { api } = installation;
  const middleware = await startMiddleware();
  const settings = { url: middleware.url, events: ['order.*'], secret: SECRET, signature_styles: ['github'] };
  const { id: webhook } = await api.createWebhook({ url: '' }, settings);
  const datas = [{ n: 1 }, { name: 'Zoë 🦊' }, { price: 1.5, list: [1, 'x', null] }];
  const deliveries: string[] = [];
  for (const data of datas) {
    const event = await api.publish('order.created', data);
    const delivery = await api.onlyDelivery(event.id);
    await api.untilStatus(delivery, 'delivered');
    deliveries.push(delivery);
  }
  expect(middleware.statuses).toEqual([200, 200, 200]);
  expect([...middleware.handled.values()]).toEqual(
    datas.map((data, i) => ({
      id: parsePublicId('delivery', deliveries[i]!),
      name: 'order.created',
      payload: expect.objectContaining({ type: 'order.created', data }),
    })),
  );

  // Sent again it is the same delivery to GitHub as well.
  await api.ok('POST', `/deliveries/${deliveries[0]}/retry`);
  await api.untilStatus(deliveries[0]!, 'delivered');
  expect(middleware.seen).toHaveLength(4);
  expect(middleware.handled.size).toBe(3);

  const { attempts } = await api.ok('GET', `/deliveries/${deliveries[1]}`);
  expect(attempts[0].request.headers).toMatchObject({
    'X-GitHub-Event': 'order.created',
    'X-GitHub-Hook-ID': webhook,
    'X-Hub-Signature-256': '[redacted]',
  });
});

test('the middleware refuses what is signed with another secret', async () => {
  const { api } = installation;
  const middleware = await startMiddleware();
  await api.createWebhook(
    { url: '' },
    { url: middleware.url, events: ['wrong.secret'], signature_styles: ['github'], retry_policy: { schedule: [] } },
  );
  const event = await api.publish('wrong.secret');
  await api.untilStatus(await api.onlyDelivery(event.id), 'failed');
  expect(middleware.statuses).toEqual([400]);
  expect(middleware.handled.size).toBe(0);
});

test('own headers with the names that the style sets are refused, whichever comes first', async () => {
  const { api } = installation;
  const url = 'http://127.0.0.1:9/hook';
  const conflict = (name: string) => [
    { field: 'headers', rule: `the header "${name}" is set by the signature style github` },
  ];
  const headers = { 'x-github-event': 'push', 'X-Other': 'x' };
  const both = { url, events: ['*'], headers, signature_styles: ['github'] };
  expect(await api.call('POST', '/webhooks', both)).toMatchObject({
    status: 422,
    body: { errors: conflict('x-github-event') },
  });
  const first = await api.createWebhook({ url }, { ...both, signature_styles: ['standard'] });
  const patch = (id: string, body: object) => api.call('PATCH', `/webhooks/${id}`, body);
  expect(await patch(first.id, { signature_styles: ['github'] })).toMatchObject({
    status: 422,
    body: { errors: conflict('x-github-event') },
  });
  const second = await api.createWebhook({ url }, { ...both, headers: {} });
  expect(await patch(second.id, { headers: { 'X_GitHub-Delivery': '1' } })).toMatchObject({
    status: 422,
    body: { errors: conflict('x-github-delivery') },
  });
  expect((await patch(second.id, { headers, signature_styles: ['stripe'] })).status).toBe(200);
});
