import { createHmac, randomBytes } from 'node:crypto';
import { Pool } from 'pg';
import { Agent, request } from 'undici';
import { eventData } from './event-data';
import { nextMark } from './mark';
import { serve } from './remote';

/**
 * The limit that a sender on these parts has: rows of a table of its own are claimed, signed, POSTed and recorded, in
 * one process, with nothing else: no gates, no order, no logs, no retries, no settings. Same Postgres, same receiver.
 */
const CLAIM = 100;
const CONNECTIONS = 64;
const LEASE = '40 s';

const CREATE = `
  create schema if not exists bench_bare;
  create table if not exists bench_bare.queue (id bigint generated always as identity primary key, body bytea not null,
    lease_until timestamptz not null default 'epoch') with (fillfactor = 50);
  create table if not exists bench_bare.attempts (id bigint primary key, at timestamptz not null default now(), status int not null);
  truncate bench_bare.queue, bench_bare.attempts`;

const TAKE = {
  name: 'bare_take',
  text: `update bench_bare.queue q set lease_until = now() + interval '${LEASE}'
    where q.id = any(array(select id from bench_bare.queue where lease_until < now() order by id limit ${CLAIM} for update skip locked))
    returning q.id, q.body`,
};
const RECORD = {
  name: 'bare_record',
  text: `with d as (delete from bench_bare.queue where id = any($1::bigint[]))
    insert into bench_bare.attempts (id, status) select * from unnest($1::bigint[], $2::int[])`,
};

const methods = {
  /** Sends so many events to `url`; how many a second. @throws where one was not accepted, or is missing in the record */
  async run(databaseUrl: string, url: string, events: number, bytes: number): Promise<{ perSecond: number }> {
    const pool = new Pool({
      connectionString: databaseUrl,
      max: 4,
      options: '-c enable_hashjoin=off -c enable_mergejoin=off',
    });
    const dispatcher = new Agent({ connections: CONNECTIONS, pipelining: 1 });
    const key = randomBytes(32);
    try {
      await pool.query(CREATE);
      for (let filled = 0; filled < events; filled += 1_000) {
        const bodies = Array.from({ length: Math.min(1_000, events - filled) }, () =>
          Buffer.from(JSON.stringify(eventData(nextMark('bare'), bytes))),
        );
        await pool.query('insert into bench_bare.queue (body) select unnest($1::bytea[])', [bodies]);
      }
      await pool.query('analyze bench_bare.queue');
      const beganMs = performance.now();
      await drain(pool, async (body) => {
        const signature = createHmac('sha256', key).update(body).digest('base64');
        const headers = { 'content-type': 'application/json', 'webhook-signature': `v1,${signature}` };
        const { statusCode, body: answer } = await request(url, { method: 'POST', headers, body, dispatcher });
        await answer.dump();
        return statusCode;
      });
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

/** Two claims at a time, so that one is sent while the other is claimed or recorded. */
async function drain(pool: Pool, send: (body: Buffer) => Promise<number>): Promise<void> {
  const sender = async () => {
    for (;;) {
      const { rows } = await pool.query<{ id: string; body: Buffer }>(TAKE);
      if (rows.length === 0) return;
      const statuses = await Promise.all(rows.map(({ body }) => send(body)));
      await pool.query({ ...RECORD, values: [rows.map(({ id }) => id), statuses] });
    }
  };
  await Promise.all([sender(), sender()]);
}

export type BareMethods = typeof methods;
serve(methods);
