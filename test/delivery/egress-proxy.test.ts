import { type ConnectProxy, startConnectProxy } from '../support/connect-proxy';
import { receiverForEach } from '../support/for-tests';
import { type Installation, startInstallation } from '../support/installation';

let proxy: ConnectProxy;
let posthorn: Installation;
const receiver = receiverForEach();
beforeAll(async () => {
  proxy = await startConnectProxy();
  posthorn = await startInstallation({ POSTHORN_EGRESS_PROXY: `http://user:hunter2@127.0.0.1:${proxy.port}` });
});
afterAll(async () => {
  await posthorn?.stop();
  await proxy?.close();
});

test.each(['workflow', 'express'])('with an outbound proxy, deliveries of mode %s arrive through it', async (mode) => {
  const { api } = posthorn;
  const { host } = new URL(receiver.url);
  await api.createWebhook(receiver, { events: [`proxied.${mode}`], mode });
  const id = await api.onlyDelivery((await api.publish(`proxied.${mode}`)).id);
  await api.untilStatus(id, 'delivered');
  const delivery = await api.ok('GET', `/deliveries/${id}`);
  expect(delivery.attempts).toMatchObject([{ status_code: 204, remote_address: '127.0.0.1' }]);
  const through = proxy.asked.filter(({ authority }) => authority === host);
  expect(through.length).toBeGreaterThan(0);
  for (const { authorization } of through) expect(authorization).toBe('Basic dXNlcjpodW50ZXIy');
  expect(JSON.stringify(delivery)).not.toMatch(/hunter2|dXNlcjpodW50ZXIy/);
});
