import { Pool } from 'pg';
import { WORK_CHANNEL } from '../../src/db/work-channel';
import { told } from '../support/history';
import { type Installation, startInstallation } from '../support/installation';
import { type Receiver, startReceiver } from '../support/receiver';
import { connectTemporal } from '../support/temporal';
import { until } from '../support/until';

const DELIVERIES = 200;
/** So few at once that the relay has room for each as soon as its row is back: behind a queue, it comes too late. */
const AT_ONCE = 10;
/** Less than the lease of 40 s: a row that only the end of its lease would save counts as lost. */
const LIMIT_MS = 30_000;

/**
 * A run that finds its gate shut puts its row back and closes; in between, the row is claimable while the run is open.
 * These triggers leave no round trip in that gap: a gate shuts in the statement that first claims its delivery, and
 * once more in the one that records its first attempt; it opens, and the relay is told, in the very statement that puts
 * the row back. So every delivery goes through the gap twice: in its first attempt (local) and in a later one.
 */
const TRIGGERS = `
create table shut (delivery_id uuid, at text, primary key (delivery_id, at));
create function shut_gate() returns trigger language plpgsql as $$ begin
  insert into shut values (new.delivery_id, case when new.timed then 'recorded' else 'claimed' end) on conflict do nothing;
  if found then update webhook_gates set status = 'paused' where webhook_id = new.webhook_id; end if;
  return null;
end $$;
create function open_gate() returns trigger language plpgsql as $$ begin
  update webhook_gates set status = 'active' where webhook_id = new.webhook_id;
  perform pg_notify('${WORK_CHANNEL}', '');
  return null;
end $$;
create trigger claimed after update on delivery_queue for each row
  when (not new.timed and new.lease_until > now()) execute function shut_gate();
create trigger recorded after update on delivery_queue for each row
  when (not old.timed and new.timed) execute function shut_gate();
create trigger put_back after update on delivery_queue for each row
  when (old.lease_until > now() and new.lease_until = 'epoch' and not new.timed or old.timed and not new.timed)
  execute function open_gate();`;

let posthorn: Installation;
let receiver: Receiver;
let pool: Pool;
let temporal: Awaited<ReturnType<typeof connectTemporal>>;

beforeAll(async () => {
  posthorn = await startInstallation();
  receiver = await startReceiver(({ headers }) => ({ status: headers['x-webhook-attempt'] === '1' ? 500 : 200 }));
  pool = new Pool({ connectionString: posthorn.databaseUrl });
  temporal = await connectTemporal();
});
afterAll(async () => {
  await pool?.end();
  await posthorn?.stop();
  await receiver?.close();
  await temporal?.close();
});

test(`a row put back and claimed while its old run is closing is never lost (${DELIVERIES} tries, twice each)`, async () => {
  const { api } = posthorn;
  await pool.query(TRIGGERS);
  // One webhook per delivery of a round: each has a gate of its own.
  const settings = { events: ['gap.once'], retry_policy: { schedule: ['100ms'] } };
  for (let i = 0; i < AT_ONCE; i++) await api.createWebhook(receiver, settings);
  for (let round = 0; round < DELIVERIES / AT_ONCE; round++) {
    expect((await api.publish('gap.once')).deliveries).toBe(AT_ONCE);
    await until(
      'every delivery to end',
      async () => (await pool.query('select 1 from delivery_queue limit 1')).rowCount === 0,
      LIMIT_MS,
    );
  }
  expect((await pool.query('select 1 from shut')).rowCount).toBe(2 * DELIVERIES);
  const states = await pool.query('select state, attempt_count, count(*)::int as n from deliveries group by 1, 2');
  expect(states.rows).toEqual([{ state: 'delivered', attempt_count: 2, n: DELIVERIES }]);
  const id = (headers: Record<string, unknown>) => String(headers['x-webhook-delivery']);
  const sent = receiver.requests.map(({ headers }) => `${id(headers)} ${headers['x-webhook-attempt']}`);
  expect(new Set(sent).size).toBe(2 * DELIVERIES);
  expect(sent).toHaveLength(2 * DELIVERIES);

  // The gap was met: many a claim found the old run open, or so late that it had to wake it.
  const ids = [...new Set(receiver.requests.map(({ headers }) => id(headers)))];
  let woken = 0;
  for (const delivery of ids) if ((await told(temporal.client, delivery)).signals.includes('wake')) woken++;
  expect(woken).toBeGreaterThan(DELIVERIES / 10);
}, 400_000);
