import { Client } from 'pg';
import { openDatabase } from '../../src/db/database';
import { countReplay } from '../../src/db/store/replay-pages';
import { SCAN } from '../../src/db/store/scan';
import { newUuid, parsePublicId } from '../../src/domain/ids';
import { MAX_RUNNING } from '../../src/domain/replay';
import type { TestApi } from '../support/api';
import { makeFailed } from '../support/failed';
import { type Installation, startInstallation } from '../support/installation';
import { type Receiver, startReceiver } from '../support/receiver';
import { until } from '../support/until';
import { SINCE } from './replay-support';
import { expectProblem, otherTenant, sql } from './support';

/** Very many bulk replays at once: how many a tenant may have, and what the others feel of them. */

const NOWHERE = { url: 'http://127.0.0.1:9' };

describe('running replays of a tenant', () => {
  let posthorn: Installation;
  beforeAll(async () => {
    posthorn = await startInstallation({}, { worker: false });
  });
  afterAll(() => posthorn?.stop());

  const ask = (api: TestApi, webhook: string) => api.call('POST', `/webhooks/${webhook}/replay`, { since: SINCE });
  const running = (api: TestApi) =>
    api.ok('GET', '/replays?limit=200').then(({ data }) => data.filter(({ status }: any) => status === 'running'));

  test('are limited, however they are asked for, and those of others are not', async () => {
    const api = await otherTenant(posthorn, 'eager');
    const { id } = await api.createWebhook(NOWHERE, { active: false });
    const answers = await Promise.all(Array.from({ length: MAX_RUNNING + 10 }, () => ask(api, id)));
    const refused = answers.filter(({ status }) => status !== 202);
    expect(refused).toHaveLength(10);
    for (const answer of refused) {
      expectProblem(answer, { status: 429, code: 'rate_limited' });
      expect(answer.body.detail).toContain(`${MAX_RUNNING} replays`);
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    }
    expect(await running(api)).toHaveLength(MAX_RUNNING);
    expectProblem(await api.call('POST', '/dead-letters/replay', {}), { status: 429, code: 'rate_limited' });

    const other = await otherTenant(posthorn, 'modest');
    expect((await ask(other, (await other.createWebhook(NOWHERE)).id)).status).toBe(202);

    // A key is not used up by a refusal.
    const keyed = () =>
      api.call('POST', `/webhooks/${id}/replay`, { since: SINCE, rate_limit: '1/1s' }, { 'idempotency-key': 'mine' });
    expectProblem(await keyed(), { status: 429, code: 'rate_limited' });
    const [second] = (await running(api)).slice(1);
    await api.ok('POST', `/replays/${second.id}/cancel`);
    expect((await keyed()).status).toBe(202);

    const [first] = await running(api);
    await api.ok('POST', `/replays/${first.id}/cancel`);
    expect((await ask(api, id)).status).toBe(202);
    expectProblem(await ask(api, id), { status: 429, code: 'rate_limited' });
  });
});

describe('pages that take long', () => {
  let posthorn: Installation;
  let receiver: Receiver;
  const locking: Client[] = [];
  beforeAll(async () => {
    // One slot for later attempts: a page that took it would be felt.
    posthorn = await startInstallation({ POSTHORN_MAX_RETRIES_IN_FLIGHT: '1', POSTHORN_DB_POOL_SIZE: '10' });
    receiver = await startReceiver((_, n) => ({ status: n === 1 ? 500 : 204 }));
  });
  afterAll(async () => {
    await Promise.all(locking.map((client) => client.end()));
    await posthorn?.stop();
    await receiver?.close();
  });

  test('take no slots from the attempts of others', async () => {
    const api = await otherTenant(posthorn, 'with long pages');
    const { id } = await api.createWebhook(NOWHERE, { active: false });
    const client = new Client({ connectionString: posthorn.databaseUrl });
    await client.connect();
    locking.push(client);
    await client.query('begin');
    await client.query('lock table replays in share row exclusive mode');
    // Their rows are written down first, and their pages then wait for the lock.
    await client.query('commit');
    for (let n = 0; n < 10; n++) await api.ok('POST', `/webhooks/${id}/replay`, { since: SINCE, rate_limit: '1/1h' });
    await client.query('begin');
    await client.query('select from replays for update');

    await posthorn.api.createWebhook(receiver, { events: ['retried'], retry_policy: { schedule: ['1s'], jitter: 0 } });
    const delivery = await posthorn.api.onlyDelivery((await posthorn.api.publish('retried')).id);
    expect(await posthorn.api.untilStatus(delivery, 'delivered', 60_000)).toMatchObject({ attempt_count: 2 });
    await client.query('rollback');
  });

  test("another tenant's replay ends beside very many that have no end", async () => {
    const eager = await otherTenant(posthorn, 'eager');
    const busy = await makeFailed(posthorn, NOWHERE, 1);
    const [row] = await sql<{ tenant_id: string }>(posthorn, 'select tenant_id from webhooks where id = $1', [
      parsePublicId('webhook', (await eager.createWebhook(NOWHERE, { active: false })).id),
    ]);
    // Replays that count through years.
    await sql(
      posthorn,
      `insert into replays (id, tenant_id, webhook_id, filter, rate_per_second)
       select gen_random_uuid(), $1, null, $2, 1000 from generate_series(1, 30)`,
      [
        row!.tenant_id,
        { since: '2000-01-01T00:00:00Z', until: new Date().toISOString(), states: ['failed'], rate_limit: '1000/1s' },
      ],
    );
    const { id } = await posthorn.api.ok('POST', '/dead-letters/replay', {});
    await until('the replay to be completed', async () => {
      return (await posthorn.api.ok('GET', `/replays/${id}`)).status === 'completed';
    });
    await busy.resume();
  });
});

describe('counting', () => {
  let posthorn: Installation;
  beforeAll(async () => {
    posthorn = await startInstallation({}, { worker: false });
  });
  afterAll(() => posthorn?.stop());

  test('goes on where it was cut short, a step in each turn, and ends when the replay is cancelled', async () => {
    const db = openDatabase({ url: posthorn.databaseUrl, poolSize: 1, applicationName: 'test', planner: 'queue' });
    try {
      const { id: webhook } = await posthorn.api.createWebhook(NOWHERE, { active: false });
      const webhookId = parsePublicId('webhook', webhook)!;
      const total = 2 * SCAN + 10;
      const ids = Array.from({ length: total }, (_, n) => newUuid(Date.now() - 3_000_000 + n));
      await db.pool.query(
        `insert into deliveries (id, tenant_id, event_id, webhook_id, event_type, state, ended_at, failed_at, failed_because)
         select u, w.tenant_id, u, w.id, 'a', 'failed', now(), now(), 'exhausted'
         from webhooks w, unnest($2::uuid[]) u where w.id = $1`,
        [webhookId, ids],
      );
      const ask = async () => {
        const { id } = await posthorn.api.ok('POST', `/webhooks/${webhook}/replay`, { since: SINCE });
        return parsePublicId('replay', id)!;
      };

      let permits = 0;
      let counted: any;
      const withPermit = <T>(step: () => Promise<T>) => {
        if (++permits === 2) throw new Error('the worker died');
        return step();
      };
      const onStep = (sofar: object) => {
        counted = sofar;
      };
      const first = await ask();
      await expect(countReplay(db.kysely, first, { withPermit, onStep })).rejects.toThrow('died');
      expect(counted).toEqual({ total: SCAN, after: expect.any(String) });
      expect(await countReplay(db.kysely, first, { from: counted, withPermit, onStep })).toMatchObject({ total });
      expect(permits).toBe(4);

      const second = await ask();
      let steps = 0;
      const cancelling = async <T>(step: () => Promise<T>) => {
        steps++;
        const done = await step();
        await db.pool.query(`update replays set state = 'cancelled' where id = $1`, [second]);
        return done;
      };
      expect(await countReplay(db.kysely, second, { withPermit: cancelling })).toMatchObject({ state: 'cancelled' });
      expect(steps).toBe(1);
    } finally {
      await db.close();
    }
  });
});
