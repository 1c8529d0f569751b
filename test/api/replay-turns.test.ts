import { Client } from 'pg';
import { newUuid, parsePublicId } from '../../src/domain/ids';
import { MAX_RUNNING } from '../../src/domain/replay';
import type { TestApi } from '../support/api';
import { makeFailed } from '../support/failed';
import { type Installation, startInstallation } from '../support/installation';
import { until } from '../support/until';
import { SINCE, untilReplay } from './replay-support';
import { otherTenant, sql } from './support';

/** Bulk replays of one tenant share its turn: however many there are, others' go on. */

const NOWHERE = { url: 'http://127.0.0.1:9' };
const DELIVERIES = 5_000;

let posthorn: Installation;
beforeAll(async () => {
  // Room for two pages at once.
  posthorn = await startInstallation({ POSTHORN_DB_POOL_SIZE: '10' });
});
afterAll(() => posthorn?.stop());

/** A paused webhook with failed deliveries, without the time that it takes to publish them. */
async function webhookWithFailed(api: TestApi, count: number): Promise<string> {
  const { id } = await api.createWebhook(NOWHERE, { active: false });
  await sql(
    posthorn,
    `insert into deliveries (id, tenant_id, event_id, webhook_id, event_type, state, ended_at, failed_at, failed_because)
     select u, w.tenant_id, u, w.id, 'a', 'failed', now(), now(), 'exhausted'
     from webhooks w, unnest($2::uuid[]) u where w.id = $1`,
    [parsePublicId('webhook', id), Array.from({ length: count }, (_, n) => newUuid(Date.now() - 1_000_000 + n))],
  );
  return id;
}

const ask = async (api: TestApi, webhook: string, rate: string): Promise<string> =>
  (await api.ok('POST', `/webhooks/${webhook}/replay`, { since: SINCE, rate_limit: rate })).id;

test('a page that does not come to its end holds up the replays of its own tenant only', async () => {
  const eager = await otherTenant(posthorn, 'eager');
  const webhook = await webhookWithFailed(eager, DELIVERIES);
  await Promise.all(Array.from({ length: MAX_RUNNING }, () => ask(eager, webhook, '20/1s')));
  const sent = async () =>
    (
      await sql<{ n: number }>(posthorn, 'select sum(sent)::int as n from replays where webhook_id = $1', [
        parsePublicId('webhook', webhook),
      ])
    )[0]!.n;
  await until('the first pages', async () => (await sent()) > 0);

  const client = new Client({ connectionString: posthorn.databaseUrl });
  await client.connect();
  try {
    await client.query('begin');
    await client.query('select from replays where webhook_id = $1 for update', [parsePublicId('webhook', webhook)]);
    const held = () =>
      sql(
        posthorn,
        `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
           and query like '%"replays"%for update%'`,
      ).then(({ length }) => length);
    await until('a page to be held', async () => (await held()) > 0);

    const failed = await makeFailed(posthorn, NOWHERE, 3);
    const id = await ask(posthorn.api, failed.webhook, '20/1s');
    expect(await untilReplay(posthorn, id, 'completed', ({ status }) => status === 'completed')).toMatchObject({
      sent: 3,
    });
    // All the others wait for the one that is held.
    expect(await held()).toBeLessThanOrEqual(1);
    expect(await sent()).toBeLessThan(DELIVERIES);
    await client.query('rollback');
  } finally {
    await client.end();
  }
  const before = await sent();
  await until('the others to go on', async () => (await sent()) > before);
}, 180_000);

test('what could not wait for its turn comes back, until all have ended', async () => {
  const many = await otherTenant(posthorn, 'many');
  const webhook = await webhookWithFailed(many, 400);
  const ids = await Promise.all(Array.from({ length: 8 }, () => ask(many, webhook, '100/1s')));
  const find = (id: string) => many.ok('GET', `/replays/${id}`);
  await until(
    'all of them to end',
    async () => {
      const replays = await Promise.all(ids.map(find));
      return replays.every(({ status }) => status === 'completed');
    },
    150_000,
  );
  const sent = (await Promise.all(ids.map(find))).reduce((sum, replay) => sum + replay.sent, 0);
  expect(sent).toBe(400);
}, 180_000);
