import { parsePublicId } from '../../src/domain/ids';
import { inParallel } from '../faults/support';
import { queryOnce } from '../support/database';
import { installationForFile, receiverForFile } from '../support/for-tests';

const posthorn = installationForFile({ POSTHORN_DELIVERY_MODE: 'express' });
const receiver = receiverForFile();

test('a webhook whose secret cannot be opened, with a backlog, holds up no other', async () => {
  const BACKLOG = 400;
  const { api, databaseUrl } = posthorn;
  const { id } = await api.createWebhook(receiver, { events: ['unreadable'], active: false });
  await api.createWebhook(receiver, { events: ['readable'] });
  const uuid = parsePublicId('webhook', id);
  await queryOnce(databaseUrl, `update webhook_secrets set sealed = 'none:' || sealed where webhook_id = '${uuid}'`);
  await inParallel(BACKLOG, 10, () => api.publish('unreadable'));
  const resumedMs = performance.now();
  await api.ok('POST', `/webhooks/${id}/resume`);

  for (let n = 1; n <= 20; n++) {
    await api.publish('readable');
    await receiver.waitFor(n);
  }
  // What was tried is leased until it is tried again: 20 in each second, so that the path is there for the others.
  const [row] = await queryOnce(
    databaseUrl,
    `select count(*)::int as tried from delivery_queue where webhook_id = '${uuid}' and lease_until > now()`,
  );
  expect(row.tried).toBeGreaterThan(0);
  const sinceS = (performance.now() - resumedMs) / 1_000;
  expect(row.tried).toBeLessThanOrEqual(20 * (sinceS + 2));
  expect(new Set(receiver.requests.map(({ headers }) => headers['x-webhook-event']))).toEqual(new Set(['readable']));
});
