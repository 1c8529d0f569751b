import { DatabaseError, type Pool } from 'pg';
import { envelope } from '../../domain/envelope';
import { newUuid, toPublicId, uuidTimeMs } from '../../domain/ids';
import { withPartition } from '../partitions';
import type { OutboxRow, TenantBatch } from './operational-batches';
import {
  MAX_DELIVERIES_PER_BATCH,
  type OperationalEvent,
  type OperationalPublished,
  publishOperational,
} from './publish-operational';

/**
 * The outbox of operational events, a tenant at a time. What is wrong with one row or one tenant must not hold up
 * anybody else: a row that cannot be published is tried less and less often, and set aside in the end.
 */

/** Tries of one row. With the waits between them they take half an hour. */
export const MAX_TRIES = 12;
const FIRST_WAIT_MS = 1_000;
const MAX_WAIT_MS = 600_000;
/** No row is given up on sooner, whatever the tries were. */
const MIN_FAILING = '15 minutes';
/** What fails for so long is given up on, whosever fault that seems to be. */
const MAX_FAILING = '1 day';
/** A row that was set aside is kept for so long, for operators. */
const SET_ASIDE_KEPT_FOR = '30 days';

/** SQLSTATE classes and codes that tell of the server's state, not of the row: they use up no tries. */
const SERVER_TROUBLE = /^(08|53|57P|58|25006|40001|40P01|55P03)/;
const TIMED_OUT = '57014';
/** The error code of a row of which no event can be made. */
const UNUSABLE = 'unusable_details';

export type Failure = { row: OutboxRow; errorCode: string; tries: number; setAside: boolean };

export type BatchResult = OperationalPublished & {
  failures: Failure[];
  /** A statement of this tenant ran out of time: others should go first for a while. */
  slow: boolean;
};

/**
 * Publishes a tenant's rows, each exactly once: what leaves the outbox and what enters the queue is one statement. Where
 * that is refused, each row is published for itself, and one that fails waits for its next try. Rows beyond
 * {@link MAX_DELIVERIES_PER_BATCH} are left for the next batch.
 * @throws if the database is unavailable; that uses up no tries
 */
export async function publishBatch(pool: Pool, { tenantId, rows }: TenantBatch): Promise<BatchResult> {
  const result: BatchResult = { published: 0, deliveries: 0, failures: [], cut: false, slow: false };
  const events: OutboxEvent[] = [];
  for (const row of rows) {
    const event = toEvent(row);
    if (event) events.push(event);
    else result.failures.push(await fail(pool, row, UNUSABLE));
  }
  if (events.length > 1 && (await publish(events))) return result;
  for (const event of events) {
    if (result.deliveries >= MAX_DELIVERIES_PER_BATCH) break;
    if (await publish([event])) continue;
    // Whatever comes after it would take as long.
    if (result.slow) break;
  }
  return result;

  /** False if Postgres refuses it. A single one is then counted. */
  async function publish(some: OutboxEvent[]): Promise<boolean> {
    try {
      const { published, deliveries, cut } = await withPartition(pool, some[0]!.createdAt, () =>
        publishOperational(pool, tenantId, some),
      );
      result.published += published;
      result.deliveries += deliveries;
      result.cut ||= cut;
      return true;
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error;
      const code = error.code ?? 'unknown';
      if (some.length > 1) return false;
      result.slow = code === TIMED_OUT;
      // Stored only if the server works: an outage ends the batch here.
      result.failures.push(await fail(pool, some[0]!.row, code));
      return false;
    }
  }
}

type OutboxEvent = OperationalEvent & { row: OutboxRow };

/** Undefined if the row does not hold what an event needs. */
function toEvent(row: OutboxRow): OutboxEvent | undefined {
  const id = newUuid();
  const createdAt = new Date(uuidTimeMs(id));
  try {
    const { event_id, ...details } = readDetails(row.details!);
    const data = {
      webhook_id: toPublicId('webhook', row.webhookId),
      ...(row.deliveryId && { delivery_id: toPublicId('delivery', row.deliveryId) }),
      ...(event_id !== undefined && { event_id: toPublicId('event', event_id) }),
      ...details,
      occurred_at: row.createdAt.toISOString(),
    };
    const body = envelope({ id, type: row.type, version: '1.0', createdAt, data: JSON.stringify(data) });
    return { row, outboxId: row.id, id, type: row.type, body, createdAt };
  } catch {
    return undefined;
  }
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** @throws if they are no object, or name no event */
function readDetails(text: string): Record<string, unknown> & { event_id?: string } {
  const details = JSON.parse(text);
  if (typeof details !== 'object' || details === null || Array.isArray(details)) throw new TypeError('no object');
  if (details.event_id !== undefined && !UUID.test(details.event_id)) throw new TypeError('no event');
  return details;
}

/**
 * waiting ──▶ waiting | set aside. The server's own trouble counts as no try. A row that is gone meanwhile was published
 * by another process.
 */
const FAIL = `
update operational_outbox set
  tries = tries + $3, error_code = $2, failing_since = coalesce(failing_since, now()),
  next_try_at = now() + least(${MAX_WAIT_MS}, ${FIRST_WAIT_MS} * power(2, least(tries, 20))) * interval '1 ms',
  set_aside_at = case when failing_since <= now() - interval '${MAX_FAILING}'
    or (tries + $3 >= ${MAX_TRIES} and failing_since <= now() - interval '${MIN_FAILING}') then now() end
where id = $1 and set_aside_at is null
returning tries, set_aside_at is not null as aside`;

async function fail(pool: Pool, row: OutboxRow, errorCode: string): Promise<Failure> {
  const counts = SERVER_TROUBLE.test(errorCode) ? 0 : 1;
  const { rows } = await pool.query<{ tries: number; aside: boolean }>(FAIL, [row.id, errorCode, counts]);
  return { row, errorCode, tries: rows[0]?.tries ?? 0, setAside: rows[0]?.aside ?? false };
}

/** Deletes up to `batch` rows that were set aside long ago; how many. */
export async function purgeSetAside(db: Pick<Pool, 'query'>, batch: number): Promise<number> {
  const { rowCount } = await db.query(
    `delete from operational_outbox where id = any(array(
       select id from operational_outbox where set_aside_at < now() - interval '${SET_ASIDE_KEPT_FOR}'
       order by set_aside_at limit $1 for update skip locked))`,
    [batch],
  );
  return rowCount ?? 0;
}
