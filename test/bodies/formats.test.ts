import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { installationForFile, receiverForEach } from '../support/for-tests';
import { DATA, expectSigned, publishRaw, textOf, xWebhook } from './support';

const posthorn = installationForFile();
const receiver = receiverForEach();

describe.each(['workflow', 'express'])('on the path %s', (mode) => {
  test('a receiver that rebuilds the body from what it parsed finds every signature right', async () => {
    const { api } = posthorn;
    const rebuilding = await startRebuilding();
    try {
      const type = `rebuilt.${mode}`;
      const webhook = { url: rebuilding.url, events: [type], mode, retry_policy: { schedule: [] } };
      const { id, secret } = await api.createWebhook(rebuilding, { ...webhook, body_format: 'javascript' });
      rebuilding.expect(secret);
      for (const data of DATA) {
        const delivery = await api.onlyDelivery(await publishRaw(api, type, data));
        expect(await api.untilStatus(delivery, 'delivered')).toMatchObject({ path: mode, attempt_count: 1 });
      }
      expect(rebuilding.accepted).toHaveLength(DATA.length);
      // The same receiver can read the bytes as they are only if they are as JavaScript writes them.
      await api.ok('PATCH', `/webhooks/${id}`, { body_format: 'exact' });
      await api.untilStatus(await api.onlyDelivery(await publishRaw(api, type, DATA[0]!)), 'delivered');
      await api.untilStatus(await api.onlyDelivery(await publishRaw(api, type, DATA[3]!)), 'failed');
    } finally {
      await rebuilding.close();
    }
  });

  test('compact takes white space alone away, and what is signed is what is sent', async () => {
    const { api } = posthorn;
    const type = `compact.${mode}`;
    const { secret } = await api.createWebhook(receiver, { events: [type], mode, body_format: 'compact' });
    for (const [n, data] of DATA.entries()) {
      await publishRaw(api, type, data);
      const request = (await receiver.waitFor(n + 1)).at(-1)!;
      expectSigned(secret, request);
      expect(textOf(request)).toMatch(
        /^\{"id":"evt_\w+","type":"[\w.]+","timestamp":"[\w:.-]+","version":"1.0","data":/,
      );
      const sent = textOf(request).slice(textOf(request).indexOf('"data":') + '"data":'.length, -1);
      expect(sent).toBe(withoutSpace(data));
    }
  });
});

/** Tokens of JSON, one after the other. */
const withoutSpace = (json: string) => json.match(/"(?:[^"\\]|\\.)*"|[^\s"]+/g)!.join('');

/** An Express application as many are: it parses the body, and signs what JSON.stringify makes of it. */
async function startRebuilding() {
  let secret: string | undefined;
  const accepted: unknown[] = [];
  const app = express();
  app.use(express.json());
  app.post('/hook', (request, response) => {
    const isRight = request.get('x-webhook-signature') === xWebhook(secret!, JSON.stringify(request.body));
    if (isRight) accepted.push(request.body);
    response.status(isRight ? 200 : 401).end();
  });
  const server = await new Promise<Server>((resolve) => {
    const listening = app.listen(0, '127.0.0.1', () => resolve(listening));
  });
  server.keepAliveTimeout = 120_000;
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  return {
    url,
    accepted,
    expect: (given: string) => {
      secret = given;
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
