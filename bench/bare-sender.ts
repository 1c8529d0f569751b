import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import type { Pool } from 'pg';
import { Agent, request } from 'undici';
import { openPool } from '../src/db/guarded-pool';
import { eventData } from './event-data';
import { nextMark } from './mark';
import { serve } from './remote';

/**
 * The limit that a sender on these parts has: rows are claimed, signed, POSTed and recorded in one process, and every
 * attempt leaves the same record as Posthorn's (the delivery ended, the attempt with its headers). Nothing else: no
 * gates, no order, no settings, no logs, no retries. Same Postgres, same receiver.
 */
const CLAIM = 100;
const CONNECTIONS = 64;
const LEASE = '40 s';

const CREATE = `
  create schema if not exists bench_bare;
  create table if not exists bench_bare.events (id uuid primary key, body bytea not null);
  create table if not exists bench_bare.deliveries (id uuid primary key, event_id uuid not null, webhook_id uuid not null,
    state text not null default 'pending', ended_at timestamptz) with (fillfactor = 60);
  create index if not exists bare_deliveries_webhook on bench_bare.deliveries (webhook_id, id);
  create index if not exists bare_deliveries_event on bench_bare.deliveries (event_id);
  create table if not exists bench_bare.queue (delivery_id uuid primary key, event_id uuid not null,
    webhook_id uuid not null, seq bigint generated always as identity, lease_until timestamptz not null default 'epoch')
    with (fillfactor = 50);
  create index if not exists bare_queue on bench_bare.queue (webhook_id, seq);
  create table if not exists bench_bare.attempts (delivery_id uuid primary key, at timestamptz not null default now(),
    status int not null, duration_ms int not null, request_headers jsonb not null, response_headers jsonb not null);
  truncate bench_bare.events, bench_bare.deliveries, bench_bare.queue, bench_bare.attempts`;

const FILL = `
  with e as (
    insert into bench_bare.events select gen_random_uuid(), body from unnest($2::bytea[]) body returning id),
  d as (
    insert into bench_bare.deliveries (id, event_id, webhook_id) select gen_random_uuid(), id, $1 from e
    returning id, event_id, webhook_id)
  insert into bench_bare.queue (delivery_id, event_id, webhook_id) select id, event_id, webhook_id from d`;

const TAKE = {
  name: 'bare_take',
  text: `
    with q as (
      update bench_bare.queue q set lease_until = now() + interval '${LEASE}'
      where q.delivery_id = any(array(
        select delivery_id from bench_bare.queue where webhook_id = $1 and lease_until < now()
        order by seq limit ${CLAIM} for update skip locked))
      returning q.delivery_id, q.event_id)
    select q.delivery_id as id, e.id as event, e.body from q join bench_bare.events e on e.id = q.event_id`,
};
const RECORD = {
  name: 'bare_record',
  text: `
    with r as materialized (
      select * from jsonb_to_recordset($1::jsonb)
      as x(id uuid, status int, duration_ms int, request_headers jsonb, response_headers jsonb)),
    a as (
      insert into bench_bare.attempts (delivery_id, status, duration_ms, request_headers, response_headers)
      select id, status, duration_ms, request_headers, response_headers from r),
    d as (
      update bench_bare.deliveries d set state = 'delivered', ended_at = now() from r where d.id = r.id)
    delete from bench_bare.queue q using r where q.delivery_id = r.id`,
};

type Row = { id: string; event: string; body: Buffer };
type Attempt = { id: string; status: number; duration_ms: number; request_headers: object; response_headers: object };

const methods = {
  /** Sends so many events to `url`; how many a second. @throws where one was not accepted, or is missing in the record */
  async run(databaseUrl: string, url: string, events: number, bytes: number): Promise<{ perSecond: number }> {
    const pool = openPool({
      connectionString: databaseUrl,
      max: 4,
      options: '-c enable_hashjoin=off -c enable_mergejoin=off',
    });
    const dispatcher = new Agent({ connections: CONNECTIONS, pipelining: 1 });
    const key = randomBytes(32);
    try {
      await pool.query(CREATE);
      const webhook = randomUUID();
      for (let filled = 0; filled < events; filled += 1_000) {
        const bodies = Array.from({ length: Math.min(1_000, events - filled) }, () =>
          Buffer.from(JSON.stringify(eventData(nextMark('bare'), bytes))),
        );
        await pool.query(FILL, [webhook, bodies]);
      }
      await pool.query('analyze bench_bare.queue, bench_bare.deliveries, bench_bare.events');
      const beganMs = performance.now();
      await drain(pool, webhook, (row) => send(row, { url, key, dispatcher }));
      const perSecond = (events * 1_000) / (performance.now() - beganMs);
      const { rows } = await pool.query<{ n: number }>(
        'select count(*)::int as n from bench_bare.attempts where status < 300',
      );
      if (rows[0]!.n !== events) throw new Error(`${rows[0]!.n} of ${events} bare deliveries were recorded`);
      return { perSecond };
    } finally {
      await dispatcher.close();
      await pool.end();
    }
  },
};

/** The headers that Posthorn sends by default, with both signatures. */
async function send(
  { id, event, body }: Row,
  { url, key, dispatcher }: { url: string; key: Buffer; dispatcher: Agent },
): Promise<Attempt> {
  const beganMs = performance.now();
  const timestamp = String(Math.floor(Date.now() / 1_000));
  const hmac = (prefix: string) => createHmac('sha256', key).update(prefix).update(body);
  const headers = {
    'content-type': 'application/json',
    'user-agent': 'bare',
    'accept-encoding': 'identity',
    'webhook-id': event,
    'webhook-timestamp': timestamp,
    'webhook-signature': `v1,${hmac(`${event}.${timestamp}.`).digest('base64')}`,
    'X-Webhook-ID': event,
    'X-Webhook-Timestamp': timestamp,
    'X-Webhook-Event': 'bare',
    'X-Webhook-Attempt': '1',
    'X-Webhook-Delivery': id,
    'X-Webhook-Signature': `sha256=${hmac('').digest('hex')}`,
  };
  const answer = await request(url, { method: 'POST', headers, body, dispatcher });
  await answer.body.dump();
  return {
    ...{ id, status: answer.statusCode, duration_ms: Math.round(performance.now() - beganMs) },
    ...{ request_headers: headers, response_headers: answer.headers },
  };
}

/** Two claims at a time, so that one is sent while the other is claimed or recorded. */
async function drain(pool: Pool, webhook: string, sendOne: (row: Row) => Promise<Attempt>): Promise<void> {
  const sender = async () => {
    for (;;) {
      const { rows } = await pool.query<Row>({ ...TAKE, values: [webhook] });
      if (rows.length === 0) return;
      const attempts = await Promise.all(rows.map(sendOne));
      await pool.query({ ...RECORD, values: [JSON.stringify(attempts)] });
    }
  };
  await Promise.all([sender(), sender()]);
}

export type BareMethods = typeof methods;
serve(methods);
