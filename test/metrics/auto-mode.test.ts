import { createSite, type Site } from '../faults/support';
import { type Receiver, startReceiver } from '../support/receiver';
import { until } from '../support/until';
import { metricsUrl, scrape } from './support';

let site: Site;
let receiver: Receiver;
beforeAll(async () => {
  // An engine that has room for one attempt is soon behind.
  site = await createSite({ POSTHORN_ADMIN_PORT: '0', POSTHORN_MAX_IN_FLIGHT: '1', POSTHORN_AUTO_LAG: '100ms' });
  receiver = await startReceiver();
});
afterAll(async () => {
  await site?.stop();
  await receiver?.close();
});

test('auto mode is seen: the express path takes over, and gives back when the engine has room again', async () => {
  const api = await site.startApi();
  const url = metricsUrl((await site.startWorker()).lines);
  const auto = async () => {
    const { value } = await scrape(url);
    return {
      express: value('posthorn_auto_express'),
      toExpress: value('posthorn_auto_switches_total{to="express"}'),
      toWorkflow: value('posthorn_auto_switches_total{to="workflow"}'),
      byExpress: value('posthorn_attempts_total{path="express",outcome="delivered"}'),
    };
  };
  expect(await auto()).toEqual({ express: 0, toExpress: 0, toWorkflow: 0, byExpress: 0 });

  let answer: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    answer = resolve;
  });
  receiver.setHandler((_, n) => (n === 1 ? held.then(() => ({ status: 200 })) : { status: 200 }));
  await api.createWebhook(receiver, { events: ['auto.*'], mode: 'auto' });
  await api.publish('auto.first');
  await receiver.waitFor(1);
  const [later] = await api.publishDeliveries('auto.later', 1);
  await api.untilStatus(later!, 'delivered');
  await until('the attempt to be counted', async () => (await auto()).byExpress === 1);
  expect(await auto()).toEqual({ express: 1, toExpress: 1, toWorkflow: 0, byExpress: 1 });

  answer();
  await until('the engine to have the work again', async () => (await auto()).express === 0);
  expect(await auto()).toEqual({ express: 0, toExpress: 1, toWorkflow: 1, byExpress: 1 });
});
