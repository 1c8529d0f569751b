import { isDeepStrictEqual } from 'node:util';
import type { Pool } from 'pg';
import type { Database } from '../../src/db/database';
import { FIRST_TENANT, nextBatches } from '../../src/db/publish/operational-batches';
import { type BatchResult, publishBatch } from '../../src/db/publish/operational-outbox';
import { publishEvent } from '../../src/db/publish/publish-one';
import { EMPTY_BUDGET } from '../../src/db/queue/claim-budget';
import { FIRST_CURSORS } from '../../src/db/queue/claim-cursors';
import type { ClaimRequest } from '../../src/db/queue/claim-request';
import { type ClaimedDelivery, claimDeliveries } from '../../src/db/queue/claim-workflow';
import { requeueDelivery } from '../../src/db/queue/leases';
import { loadAttempts } from '../../src/db/queue/load-attempt';
import {
  type AttemptNext,
  type AttemptRecord,
  type Recorded,
  recordAttempts as record,
} from '../../src/db/queue/record-attempts';
import type { WebhookStatus } from '../../src/domain/delivery';
import { newUuid } from '../../src/domain/ids';
import { PRIORITIES, PRIORITY_NAMES, type Priority } from '../../src/domain/priorities';
import type { Log } from '../../src/log';
import { type OperationalEvents, startOperationalEvents } from '../../src/relay/operational-events';
import { databaseForFile } from '../support/for-tests';

/** The nth webhook: ids sort as their numbers do, so that a test knows in which order a claim looks at them. */
export const webhook = (n: number) => `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`;

/** The nth tenant, likewise. */
export const tenant = (n: number) => `00000000-0000-7000-9000-${String(n).padStart(12, '0')}`;

export type Gate = Partial<{
  status: WebhookStatus;
  blockedForSeconds: number;
  maxInFlight: number;
  ordered: boolean;
  ratePerSecond: number;
  burst: number;
}>;

/** A webhook as far as the claim knows it, with `rows` deliveries in its queue. */
export async function addWebhook(pool: Pool, id: string, rows: number, gate: Gate = {}): Promise<void> {
  await pool.query(
    `insert into webhook_gates (webhook_id, status, blocked_until, max_in_flight, ordered, rate_per_second, burst)
     values ($1, $2, now() + $3::float8 * interval '1 s', $4, $5, $6, $7)`,
    [
      id,
      gate.status ?? 'active',
      gate.blockedForSeconds ?? 0,
      gate.maxInFlight ?? 1_000,
      gate.ordered ?? false,
      gate.ratePerSecond ?? null,
      gate.burst ?? 1,
    ],
  );
  await addRows(pool, id, rows);
}

export async function addRows(
  pool: Pool,
  webhookId: string,
  rows: number,
  priority: Priority = 'normal',
  tenantId = tenant(1),
): Promise<void> {
  await pool.query(
    `insert into delivery_queue (delivery_id, tenant_id, event_id, webhook_id, event_type, priority)
     select id, $4, id, $1, 'order.created', $3 from unnest($2::uuid[]) id`,
    [webhookId, Array.from({ length: rows }, () => newUuid()), PRIORITIES[priority], tenantId],
  );
}

/** Every delivery of a webhook in publish order. */
export async function queueOf(pool: Pool, webhookId: string): Promise<string[]> {
  const { rows } = await pool.query<{ delivery_id: string }>(
    'select delivery_id from delivery_queue where webhook_id = $1 order by seq',
    [webhookId],
  );
  return rows.map((row) => row.delivery_id);
}

/** Who claims here; it lives where {@link addHolder} says so. */
export const HOLDER = 1_000_001;

/** A holder that lives until its row is deleted. */
export async function addHolder(pool: Pool, id = HOLDER): Promise<number> {
  await pool.query('insert into lease_holders (id) overriding system value values ($1) on conflict do nothing', [id]);
  return id;
}

/** For every tenant. */
export const ROOM = { free: 10_000, level: 10_000, held: new Map<string, number>() };

const REQUEST: ClaimRequest = {
  priorities: PRIORITY_NAMES,
  cursors: FIRST_CURSORS,
  scan: 200,
  limit: 50,
  perWebhook: 1_000,
  budget: EMPTY_BUDGET,
  allowance: ROOM,
  leaseMs: 60_000,
  holder: HOLDER,
  claimant: { path: 'workflow', modes: ['workflow'], defaultMode: 'workflow' },
};

export const claim = (pool: Pool, request: Partial<ClaimRequest> = {}) =>
  claimDeliveries(pool, { ...REQUEST, ...request });

export const isFirst = (cursors: ClaimRequest['cursors']) => isDeepStrictEqual(cursors, FIRST_CURSORS);

/** One turn: claims from the beginning until the last webhook was looked at, as the relay does. */
export async function claimTurn(pool: Pool, request: Partial<ClaimRequest> = {}): Promise<ClaimedDelivery[]> {
  const taken: ClaimedDelivery[] = [];
  const priorities = request.priorities ?? REQUEST.priorities;
  const ahead = new Set(priorities);
  for (let cursors = FIRST_CURSORS; ahead.size > 0; ) {
    const { deliveries, nextCursors, through } = await claim(pool, { ...request, priorities, cursors });
    taken.push(...deliveries);
    cursors = nextCursors;
    for (const priority of through) ahead.delete(priority);
  }
  return taken;
}

/** No test here needs more. */
const MAX_TURNS = 2_000;

/** Turns until one finds nothing. */
export async function claimAll(pool: Pool, request: Partial<ClaimRequest> = {}): Promise<ClaimedDelivery[]> {
  const taken: ClaimedDelivery[] = [];
  for (let turns = 0; turns < MAX_TURNS; turns++) {
    const turn = await claimTurn(pool, request);
    if (turn.length === 0) return taken;
    taken.push(...turn);
  }
  throw new Error('rows that were claimed are claimable again and again');
}

/** Publishes `count` events to one new webhook; returns what was queued, in publish order. */
export async function publishMany(pool: Pool, count: number): Promise<ClaimedDelivery[]> {
  const tenantId = newUuid();
  const webhookId = newUuid();
  await addWebhook(pool, webhookId, 0);
  await pool.query(`insert into subscriptions (tenant_id, pattern, webhook_id) values ($1, '*', $2)`, [
    tenantId,
    webhookId,
  ]);
  for (let i = 0; i < count; i++) {
    const createdAt = new Date();
    const id = newUuid(createdAt.getTime());
    await publishEvent(pool, { id, tenantId, type: 'a.b', body: Buffer.from('{}'), createdAt, patterns: ['*'] });
  }
  const taken = await claimAll(pool);
  return taken.filter((claimed) => claimed.webhookId === webhookId);
}

/** Writes attempts down as a worker does that makes so many of one webhook at once. */
export const recordAttempts = (pool: Pool, records: readonly AttemptRecord[], perWebhook = 20): Promise<Recorded> =>
  record(pool, records, perWebhook);

/** An attempt of a claimed delivery, as its recorder writes it down. */
export function attemptOf(claimed: ClaimedDelivery, number: number, next: AttemptNext): AttemptRecord {
  return {
    deliveryId: claimed.deliveryId,
    tenantId: claimed.tenantId,
    webhookId: claimed.webhookId,
    attemptId: newUuid(),
    number,
    trigger: claimed.trigger,
    path: 'workflow',
    startedAt: new Date(),
    durationMs: 12,
    statusCode: next.kind === 'end' ? 204 : 500,
    errorCode: null,
    errorMessage: null,
    errorDetails: null,
    requestHeaders: { 'webhook-id': 'evt_1' },
    responseHeaders: {},
    responseBody: Buffer.from('ok'),
    responseCut: null,
    healthSignal: {
      health: next.kind === 'end' && next.state === 'delivered' ? 'good' : 'bad',
      timedOut: false,
      gone: false,
    },
    remoteAddress: '127.0.0.1',
    urlChanges: 0,
    sentAs: null,
    holder: HOLDER,
    next,
  };
}

export const DELIVERED: AttemptNext = { kind: 'end', state: 'delivered', because: null };

export const WAIT: AttemptNext = { kind: 'wait', waitMs: 3_600_000 };
export const FAILED: AttemptNext = { kind: 'end', state: 'failed', because: 'exhausted' };

/** A new delivery that some worker has under way: no claim takes it. */
export async function underWay(pool: Pool, webhookId: string, eventType = 'order.created'): Promise<ClaimedDelivery> {
  const deliveryId = newUuid();
  await pool.query(
    `insert into delivery_queue (delivery_id, tenant_id, event_id, webhook_id, event_type, lease_until)
     values ($1, $4, $1, $2, $3, now() + interval '4 minutes')`,
    [deliveryId, webhookId, eventType, tenant(1)],
  );
  const trigger = 'schedule' as const;
  const host = 'example.com';
  return { deliveryId, tenantId: tenant(1), webhookId, eventType, host, attempt: 0, trigger, askedBy: null, cap: 20 };
}

/** So many attempts of a webhook, one after the other, each the first of a new delivery. Returns what the last one moved. */
export async function attempts(
  pool: Pool,
  webhookId: string,
  count: number,
  next: AttemptNext,
  {
    eventType,
    perWebhook,
    ...healthSignal
  }: Partial<AttemptRecord['healthSignal']> & { eventType?: string; perWebhook?: number } = {},
): Promise<Recorded> {
  let recorded: Recorded | undefined;
  for (let i = 0; i < count; i++) {
    const attempt = attemptOf(await underWay(pool, webhookId, eventType), 1, next);
    const signal = { ...attempt.healthSignal, ...healthSignal };
    recorded = await recordAttempts(pool, [{ ...attempt, healthSignal: signal }], perWebhook);
  }
  return recorded!;
}

/** Rows that were read so far of the tables whose names match, by this connection and all that have reported. */
export async function rowsRead(pool: Pool, tables: string): Promise<number> {
  await pool.query('select pg_stat_force_next_flush()');
  const { rows } = await pool.query<{ n: number }>(
    'select sum(seq_tup_read + idx_tup_fetch)::int as n from pg_stat_user_tables where relname like $1',
    [tables],
  );
  return rows[0]!.n;
}

/** The row of a webhook's gate, as it stands. */
export async function gateOf(pool: Pool, webhookId: string) {
  const { rows } = await pool.query('select *, xmin::text from webhook_gates where webhook_id = $1', [webhookId]);
  return rows[0];
}

/**
 * A database whose outbox is empty before each test of the file, and the publisher of a worker, which is stopped after each
 * test that has started it. A trigger `poison` on events is removed.
 */
export function outboxForFile() {
  const db = databaseForFile({ poolSize: 4, planner: 'queue' });
  let running: OperationalEvents | undefined;
  beforeEach(() => db.pool.query('truncate delivery_queue, deliveries, subscriptions, operational_outbox, events'));
  afterEach(async () => {
    await running?.stop();
    running = undefined;
    await db.pool.query('drop trigger if exists poison on events; drop function if exists poison');
  });
  const start = (log: Log): OperationalEvents => {
    running = startOperationalEvents(db, log, () => undefined);
    return running;
  };
  return { db, start };
}

/** One batch for every tenant that has rows in the outbox. */
export async function publishOutbox(pool: Pool): Promise<BatchResult[]> {
  const results: BatchResult[] = [];
  for (let after: string | undefined = FIRST_TENANT; after !== undefined; ) {
    const next: Awaited<ReturnType<typeof nextBatches>> = await nextBatches(pool, after, 50);
    for (const batch of next.batches) if (batch.rows.length > 0) results.push(await publishBatch(pool, batch));
    after = next.cursor;
  }
  return results;
}

/** As an attempt does whose time has come before a shut gate. */
export async function fenceAndRequeue(db: Database, deliveryId: string, number: number): Promise<void> {
  const fence = { holder: await addHolder(db.pool), cause: 'due' } as const;
  await loadAttempts(db.pool, [{ deliveryId, number, fence }]);
  await requeueDelivery(db.kysely, { deliveryId, number }, 'schedule', HOLDER);
}
