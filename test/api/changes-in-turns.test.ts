import { Client } from 'pg';
import { parsePublicId } from '../../src/domain/ids';
import { queryOnce } from '../support/database';
import { installationForFile } from '../support/for-tests';
import { until } from '../support/until';
import { otherTenant } from './support';

/** What changes something of one tenant waits in Postgres with its connection: a few of them do, the others before it. */

const posthorn = installationForFile({}, { worker: false });
const NOWHERE = { url: 'http://127.0.0.1:9/', events: ['a'] };
const MANY = 24;
const many = <T>(make: (n: number) => Promise<T>) => Promise.all(Array.from({ length: MANY }, (_, n) => make(n)));

test.each<[string, (webhook: string, n: number) => [method: string, path: string, body: unknown]]>([
  ['new webhooks', () => ['POST', '/webhooks', NOWHERE]],
  ['new event types', (_, n) => ['POST', '/event-types', { name: `t${n}` }]],
  ['bulk replays', (webhook) => ['POST', `/webhooks/${webhook}/replay`, { since: new Date().toISOString() }]],
])('%s that all wait for the same row leave others their connections', async (what, request) => {
  const { api } = posthorn;
  const [one, other] = [
    await otherTenant(posthorn as never, `one ${what}`),
    await otherTenant(posthorn as never, `other ${what}`),
  ];
  const webhook = await one.createWebhook(NOWHERE);
  const lock = new Client({ connectionString: posthorn.databaseUrl });
  await lock.connect();
  try {
    await lock.query('begin');
    await lock.query('select from tenants where id = (select tenant_id from webhooks where id = $1) for update', [
      parsePublicId('webhook', webhook.id),
    ]);
    const asked = many((n) => one.call(...request(webhook.id, n)));
    const waiting = async () => {
      const [{ n }] = await queryOnce(
        posthorn.databaseUrl,
        `select count(*)::int as n from pg_stat_activity
         where datname = current_database() and application_name = 'posthorn-api' and wait_event_type = 'Lock'`,
      );
      return n as number;
    };
    await until('some of them to wait in Postgres', async () => (await waiting()) > 0);
    for (let n = 0; n < 5; n++) {
      await other.createWebhook(NOWHERE);
      await other.publish('a', {});
      await other.ok('GET', '/webhooks');
      await api.ok('GET', '/settings');
      expect(await waiting()).toBeLessThanOrEqual(5);
    }
    await lock.query('rollback');
    for (const { status } of await asked) expect(status).toBeLessThan(300);
  } finally {
    await lock.end();
  }
});
