import { Pool } from 'pg';
import { type Installation, startInstallation } from '../support/installation';
import { type Receiver, startReceiver } from '../support/receiver';
import { until } from '../support/until';

const BLACK_HOLES = 10;
const EVENTS = 30;
/** What a worker sends to one webhook at once, by default: each black hole holds as much as it can. */
const PER_WEBHOOK = 20;
const WAITING = 10;

/** Far less than the black holes take to time out: they must not be what the status waits for. */
const STATUS_LIMIT_MS = 5_000;

let posthorn: Installation;
let blackHole: Receiver;
let healthy: Receiver;
let failing: Receiver;
let pool: Pool;

beforeAll(async () => {
  posthorn = await startInstallation();
  blackHole = await startReceiver(() => 'hang');
  healthy = await startReceiver();
  failing = await startReceiver(() => ({ status: 503 }));
  pool = new Pool({ connectionString: posthorn.databaseUrl });
});
afterAll(async () => {
  // First, because it ends the POSTs that the worker would wait for.
  await blackHole?.close();
  await pool?.end();
  await posthorn?.stop();
  await healthy?.close();
  await failing?.close();
});

test('endpoints that never answer hold up neither a healthy one nor the control of other deliveries', async () => {
  const { api } = posthorn;
  await api.createWebhook(failing, { events: ['control.*'], retry_policy: { schedule: ['1h', '2h'] } });
  for (let n = 0; n < BLACK_HOLES; n++) {
    await api.createWebhook(blackHole, { events: ['load.*'], timeout: '30s', retry_policy: { schedule: [] } });
  }
  await api.createWebhook(healthy, { events: ['load.*'] });
  const waiting: string[] = [];
  for (let n = 0; n < WAITING; n++) waiting.push(await api.onlyDelivery((await api.publish('control.one')).id));
  for (const id of waiting) await api.untilStatus(id, 'retrying');

  for (let n = 0; n < EVENTS; n++) await api.publish('load.event', { n });
  await blackHole.waitFor(BLACK_HOLES * PER_WEBHOOK);
  await healthy.waitFor(EVENTS);

  // The status query has a deadline of 1 s, after which the database answers: only a live worker says "workflow".
  for (const id of waiting) {
    await until(
      'a live worker to answer',
      async () => {
        const { source, status } = await api.ok('GET', `/deliveries/${id}/status`);
        return source === 'workflow' && status === 'retrying';
      },
      STATUS_LIMIT_MS,
    );
  }
  failing.setHandler(() => ({ status: 200 }));
  const [replayed, cancelled] = waiting as [string, string];
  await api.ok('POST', `/deliveries/${replayed}/retry`);
  await api.ok('POST', `/deliveries/${cancelled}/cancel`);
  await api.untilStatus(replayed, 'delivered');
  await api.untilStatus(cancelled, 'cancelled');

  // All of that while the black holes were still at it.
  const { rows } = await pool.query('select count(*)::int as n from delivery_queue where lease_until > now()');
  expect(rows[0].n).toBeGreaterThan(0);
  expect(healthy.requests).toHaveLength(EVENTS);
});
