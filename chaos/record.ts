import { Client, types } from 'pg';
import { type IdKind, toPublicId } from '../src/domain/ids';
import type { Caller } from './client';

/** An attempt as Posthorn has it written down. */
export type RecordedAttempt = {
  deliveryId: string;
  number: number;
  startedAt: number;
  durationMs: number;
  outcome: string;
  statusCode: number | null;
  errorCode: string | null;
};

export type RecordedDelivery = {
  id: string;
  eventId: string;
  webhookId: string;
  tenantId: string;
  /** `pending` for everything that has not ended. */
  state: string;
  attemptCount: number;
  failedBecause: string | null;
  endedAt: number | null;
  /** Its row in the queue, where it has one. */
  queued: string | null;
};

export type AuditLine = { tenantId: string; actor: string; action: string; target: string; at: number };

/** All that Posthorn says happened, with public ids. */
export type Recorded = {
  /** By mark; a mark that was published twice has two. */
  events: { id: string; mark: string }[];
  deliveries: RecordedDelivery[];
  attempts: RecordedAttempt[];
  audit: AuditLine[];
  /** Sessions that hold a transaction open and do nothing. */
  idleInTransaction: string[];
};

/** A server that has just come back is asked again. */
const CONNECT_LIMIT_MS = 20_000;

/** One statement, straight to Postgres: no proxy is between. */
export async function ask<Row extends object = any>(url: string, sql: string, values: unknown[] = []): Promise<Row[]> {
  const client = new Client({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_LIMIT_MS,
    query_timeout: 60_000,
  });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Row>(sql, values)).rows;
  } finally {
    await client.end();
  }
}

types.setTypeParser(types.builtins.INT8, Number);

/** Reads everything of these tenants. */
export async function readRecord(url: string, callers: readonly Caller[]): Promise<Recorded> {
  const tenants = [callers.map(({ tenantId }) => tenantId)];
  const events = await ask(
    url,
    `select id, substring(convert_from(body, 'UTF8') from '"mark":"(m[0-9.]+)"') as mark from events where tenant_id = any($1)`,
    tenants,
  );
  const deliveries = await ask(
    url,
    `select d.id, d.event_id, d.webhook_id, d.tenant_id, d.state, d.attempt_count, d.failed_because, d.ended_at,
       to_jsonb(q)::text as queued
     from deliveries d left join delivery_queue q on q.delivery_id = d.id where d.tenant_id = any($1)`,
    tenants,
  );
  const attempts = await ask(
    url,
    `select delivery_id, number, started_at, duration_ms, outcome, status_code, error_code from attempts
     where tenant_id = any($1) order by number`,
    tenants,
  );
  const audit = await ask(
    url,
    'select tenant_id, actor, action, target, created_at from audit_log where tenant_id = any($1) order by id',
    tenants,
  );
  const out = (kind: IdKind, id: string) => toPublicId(kind, id);
  return {
    events: events.map(({ id, mark }) => ({ id: out('event', id), mark })),
    deliveries: deliveries.map((row) => ({
      ...{
        id: out('delivery', row.id),
        eventId: out('event', row.event_id),
        webhookId: out('webhook', row.webhook_id),
      },
      ...{ tenantId: row.tenant_id, state: row.state, attemptCount: row.attempt_count, queued: row.queued },
      ...{ failedBecause: row.failed_because, endedAt: row.ended_at?.getTime() ?? null },
    })),
    attempts: attempts.map((row) => ({
      ...{ deliveryId: out('delivery', row.delivery_id), number: row.number, startedAt: row.started_at.getTime() },
      ...{ durationMs: row.duration_ms, outcome: row.outcome, statusCode: row.status_code, errorCode: row.error_code },
    })),
    audit: audit.map((row) => ({
      ...{ tenantId: row.tenant_id, action: row.action, target: row.target, at: row.created_at.getTime() },
      actor: /^[0-9a-f-]{36}$/.test(row.actor) ? out('apiKey', row.actor) : row.actor,
    })),
    idleInTransaction: await idleSessions(url),
  };
}

/** A session is between two statements of its transaction now and then; one that stays so has been forgotten. */
async function idleSessions(url: string): Promise<string[]> {
  const rows = await ask<{ name: string; query: string }>(
    url,
    `select application_name as name, left(query, 200) as query from pg_stat_activity
     where state like 'idle in transaction%' and state_change < now() - interval '2 s'`,
  );
  return rows.map(({ name, query }) => `${name}: ${query}`);
}

/** Deliveries that have not ended though nobody holds them back, and replays that run. */
export async function countWaiting(url: string): Promise<number> {
  const rows = await ask<{ n: number }>(
    url,
    `select (select count(*)::int from delivery_queue q left join webhook_gates g on g.webhook_id = q.webhook_id
       where g.status is distinct from 'paused')
     + (select count(*)::int from replays where state = 'running') as n`,
  );
  return rows[0]!.n;
}
