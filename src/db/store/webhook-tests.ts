import { sql } from 'kysely';
import { uuidFloor } from '../../domain/ids';
import {
  MAX_TESTS_KEPT,
  TEST_BEGINS_WITHIN_MS,
  TEST_LIMIT_MS,
  TEST_RETENTION_MS,
  type TestOutcome,
} from '../../domain/webhook-test';
import type { Queryable, Tx } from '../database';
import type { WebhookFacts } from '../queue/load-attempt';
import { sealedSecretsOf } from '../queue/load-attempt.sql';
import { toAttemptRow } from '../queue/log-late-attempt';
import type { AttemptRecord } from '../queue/record-attempts';
import type { Attempt } from './attempts';
import { type Found, type Part, upTo } from './scan';

/**
 * Tests of webhooks. They have a table of their own: events, deliveries, attempts, gates and all that is counted from them
 * know nothing of them.
 */

/** What is asked for. `id` is the uuid of its attempt, of its event and of its delivery, of which the last two are stored nowhere. */
export type NewTest = { id: string; tenantId: string; webhookId: string; eventType: string; body: Buffer };

export type WebhookTest = Omit<NewTest, 'tenantId'> & {
  outcome: TestOutcome;
  createdAt: Date;
  /** Once it was made. */
  attempt: Attempt | undefined;
};

/** How many tests of the tenant are under way, and how many were asked for within the last minute. Locks the tenant. */
export async function countTests(tx: Tx, tenantId: string): Promise<{ pending: number; lastMinute: number }> {
  await tx.selectFrom('tenants').select('id').where('id', '=', tenantId).forNoKeyUpdate().executeTakeFirstOrThrow();
  const { rows } = await sql<{ pending: number; lastMinute: number }>`
    select count(*) filter (where outcome = 'pending' and created_at > ${limitAgo})::int as pending,
      count(*) filter (where created_at > now() - interval '1 minute')::int as "lastMinute"
    from webhook_tests where tenant_id = ${tenantId}`.execute(tx);
  return rows[0]!;
}

const limitAgo = sql`now() - ${TEST_LIMIT_MS}::int * interval '1 ms'`;

/** Stores a test that a worker is to make, and removes the oldest of the tenant beyond those that are kept. */
export async function insertTest(tx: Tx, { id, tenantId, webhookId, eventType, body }: NewTest): Promise<void> {
  await tx
    .insertInto('webhook_tests')
    .values({ id, tenant_id: tenantId, webhook_id: webhookId, event_type: eventType, body })
    .execute();
  await sql`
    delete from webhook_tests where id in (
      select id from webhook_tests where tenant_id = ${tenantId} order by id desc offset ${MAX_TESTS_KEPT}::int)`.execute(
    tx,
  );
}

/** Removes a test whose workflow could not be started. */
export async function removeTest(db: Queryable, id: string): Promise<void> {
  await db.deleteFrom('webhook_tests').where('id', '=', id).where('outcome', '=', 'pending').execute();
}

export async function findTest(
  db: Queryable,
  tenantId: string,
  webhookId: string,
  id: string,
): Promise<WebhookTest | undefined> {
  const row = await selectTests(db, tenantId, webhookId).where('id', '=', id).executeTakeFirst();
  return row && toTest(row);
}

/** Newest first. */
export async function listTests(
  db: Queryable,
  tenantId: string,
  webhookId: string,
  { limit, beforeId }: Part,
): Promise<Found<WebhookTest>> {
  let query = selectTests(db, tenantId, webhookId)
    .orderBy('id', 'desc')
    .limit(limit + 1);
  if (beforeId) query = query.where('id', '<', beforeId);
  const { rows, next } = upTo(limit, await query.execute());
  return { rows: rows.map(toTest), next };
}

/** Those of the tests that have not ended. */
export async function pendingTests(db: Queryable, ids: readonly string[]): Promise<Set<string>> {
  const { rows } = await sql<{ id: string }>`
    select id from webhook_tests where id = any(${ids}::uuid[]) and outcome = 'pending'`.execute(db);
  return new Set(rows.map(({ id }) => id));
}

/** A test with what its attempt needs. */
export type LoadedTest = NewTest & { webhook: WebhookFacts };

/** Undefined where it was made, was asked for too long ago, or its webhook was deleted. */
export async function loadTest(db: Queryable, id: string): Promise<LoadedTest | undefined> {
  const row = await db
    .selectFrom('webhook_tests as t')
    .innerJoin('webhooks as w', 'w.id', 't.webhook_id')
    .innerJoin('webhook_gates as g', 'g.webhook_id', 'w.id')
    .selectAll('w')
    .select(['t.tenant_id', 't.event_type', 't.body', 'g.url_changes'])
    .select(sql.raw<WebhookFacts['sealedSecrets'] | null>(sealedSecretsOf('w')).as('secrets'))
    .where('t.id', '=', id)
    .where('t.outcome', '=', 'pending')
    .where('t.created_at', '>', sql<Date>`now() - ${TEST_BEGINS_WITHIN_MS}::int * interval '1 ms'`)
    .where('w.deleted_at', 'is', null)
    .executeTakeFirst();
  if (!row) return undefined;
  return {
    id,
    tenantId: row.tenant_id,
    webhookId: row.id,
    eventType: row.event_type,
    body: row.body,
    webhook: {
      id: row.id,
      url: row.url,
      urlChanges: row.url_changes,
      timeoutMs: row.timeout_ms,
      retryPolicy: row.retry_policy,
      sealedSecrets: row.secrets ?? [],
      signatureStyles: row.signature_styles,
      signature: row.signature,
      sealedHeaders: row.sealed_headers,
      bodyFormat: row.body_format,
      envelope: row.envelope,
    },
  };
}

/** Records the attempt of a test. The first one counts, where a worker was lost and another made it again. */
export async function endTest(db: Queryable, record: AttemptRecord): Promise<void> {
  const attempt = {
    ...toAttemptRow(record, record.number),
    request_headers: record.requestHeaders,
    response_headers: record.responseHeaders,
    response_body: record.responseBody?.toString('base64') ?? null,
    sent_as: record.sentAs,
  };
  await db
    .updateTable('webhook_tests')
    .set({
      outcome: record.next.kind === 'end' && record.next.state === 'delivered' ? 'delivered' : 'failed',
      attempt: JSON.stringify(attempt),
    })
    .where('id', '=', record.attemptId)
    .where('outcome', '=', 'pending')
    .execute();
}

/** Removes tests whose retention is over; returns how many, `batch` at most. */
export async function purgeTests(db: Queryable, batch: number, nowMs: number = Date.now()): Promise<number> {
  const { numAffectedRows } = await sql`
    delete from webhook_tests where id in (
      select id from webhook_tests where id < ${uuidFloor(nowMs - TEST_RETENTION_MS)}
      order by id limit ${batch}::int for update skip locked)`.execute(db);
  return Number(numAffectedRows ?? 0n);
}

function selectTests(db: Queryable, tenantId: string, webhookId: string) {
  return db
    .selectFrom('webhook_tests')
    .selectAll()
    .select(sql<boolean>`outcome = 'pending' and created_at < ${limitAgo}`.as('lost'))
    .where('tenant_id', '=', tenantId)
    .where('webhook_id', '=', webhookId);
}

type Row = Awaited<ReturnType<ReturnType<typeof selectTests>['execute']>>[number];

function toTest(row: Row): WebhookTest {
  const { attempt } = row;
  return {
    id: row.id,
    webhookId: row.webhook_id,
    eventType: row.event_type,
    body: row.body,
    outcome: row.lost ? 'not_made' : row.outcome,
    createdAt: row.created_at,
    attempt: attempt
      ? {
          ...attempt,
          started_at: new Date(attempt.started_at),
          response_body: attempt.response_body === null ? null : Buffer.from(attempt.response_body, 'base64'),
        }
      : undefined,
  };
}
