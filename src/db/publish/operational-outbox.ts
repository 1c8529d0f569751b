import { DatabaseError, type Pool, type PoolClient } from 'pg';
import { envelope } from '../../domain/envelope';
import { matchingPatterns } from '../../domain/event-types';
import { NIL_UUID, newUuid, toPublicId, uuidTimeMs } from '../../domain/ids';
import { PRIORITIES } from '../../domain/priorities';
import { newDeliveryId } from '../delivery-id';
import { inTransaction, withConnection } from '../transaction';
import { withPartition } from './publish-one';

/**
 * The outbox of operational events, a tenant at a time. What is wrong with one row or one tenant must not hold up
 * anybody else: a row that cannot be published is tried less and less often, and set aside in the end.
 */

/** Rows that a tenant publishes in one turn, in one statement: a few milliseconds. */
const ROWS_PER_TURN = 20;
/**
 * Webhooks that one operational event goes to, those that were registered first: each failure of thousands of webhooks
 * would otherwise be told to thousands.
 */
export const MAX_FAN_OUT = 100;
/**
 * Deliveries that one turn makes, but for those of a single row: with many webhooks it is of fewer rows. Some hundredths
 * of a second.
 */
export const MAX_DELIVERIES_PER_TURN = 200;
/** Ours are some hundred bytes. */
const MAX_DETAILS_BYTES = 64 * 1024;
/** Far above what a turn takes; whoever needs longer gives the place to others. */
const STATEMENT_LIMIT_MS = 3_000;

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

export type OutboxRow = {
  id: string;
  tenantId: string;
  type: string;
  webhookId: string;
  deliveryId: string | null;
  /** JSON text; null where there is too much of it. */
  details: string | null;
  createdAt: Date;
};

/** A tenant's next rows, oldest first; none where all of them wait for their next try. */
export type TenantTurn = { tenantId: string; rows: OutboxRow[] };

/** `cursor` is the last tenant that was looked at; undefined: there are no others. */
export type Turns = { turns: TenantTurn[]; cursor: string | undefined };

/** Goes before every tenant. */
export const FIRST_TENANT = NIL_UUID;

/** Jumps from tenant to tenant in the index, however many rows each has. */
const TURNS = {
  name: 'operational_turns',
  text: `
with recursive t (tenant_id, n) as (
  (select tenant_id, 1 from operational_outbox where set_aside_at is null and tenant_id > $1 order by tenant_id limit 1)
  union all
  select (select o.tenant_id from operational_outbox o where o.set_aside_at is null and o.tenant_id > t.tenant_id
      order by o.tenant_id limit 1), n + 1
  from t where t.tenant_id is not null and n < $2)
select t.tenant_id as "tenantId", r.id, r.type, r.webhook_id as "webhookId", r.delivery_id as "deliveryId",
  case when octet_length(r.details) <= ${MAX_DETAILS_BYTES} then r.details end as details, r.created_at as "createdAt"
from t left join lateral (
  select id, type, webhook_id, delivery_id, details::text as details, next_try_at, created_at from operational_outbox o
  where t.tenant_id <> all($4::uuid[])
    and o.tenant_id = t.tenant_id and o.set_aside_at is null and o.next_try_at <= now()
  order by next_try_at, created_at limit $3) r on true
where t.tenant_id is not null order by t.tenant_id, r.next_try_at, r.created_at`,
};

/** The next rows of up to `tenants` tenants after this one; none of those that rest. */
export async function nextTurns(
  pool: Pool,
  after: string,
  tenants: number,
  resting: readonly string[] = [],
): Promise<Turns> {
  const { rows } = await pool.query<OutboxRow & { id: string | null }>({
    ...TURNS,
    values: [after, tenants, ROWS_PER_TURN, resting],
  });
  const turns = new Map<string, OutboxRow[]>();
  for (const row of rows) {
    const ofTenant = turns.get(row.tenantId) ?? [];
    turns.set(row.tenantId, ofTenant);
    if (row.id !== null) ofTenant.push(row);
  }
  const found = [...turns].map(([tenantId, due]) => ({ tenantId, rows: due }));
  return { turns: found, cursor: found.length === tenants ? found.at(-1)!.tenantId : undefined };
}

export type Failure = { row: OutboxRow; errorCode: string; tries: number; setAside: boolean };

export type TurnResult = {
  published: number;
  /** What these events put into the queue. */
  deliveries: number;
  failures: Failure[];
  /** More webhooks asked for one of the events than {@link MAX_FAN_OUT}. */
  cut: boolean;
  /** A statement of this tenant ran out of time: others should go first for a while. */
  slow: boolean;
};

/**
 * Publishes a tenant's rows, each exactly once: what leaves the outbox and what enters the queue is one statement. Where
 * that is refused, each row is published for itself, and one that fails waits for its next try. Rows beyond
 * {@link MAX_DELIVERIES_PER_TURN} are left for the next turn.
 * @throws where the database is away; that uses up no tries
 */
export async function takeTurn(pool: Pool, { tenantId, rows }: TenantTurn): Promise<TurnResult> {
  const result: TurnResult = { published: 0, deliveries: 0, failures: [], cut: false, slow: false };
  const events: OutboxEvent[] = [];
  for (const row of rows) {
    const event = toEvent(row);
    if (event) events.push(event);
    else result.failures.push(await fail(pool, row, UNUSABLE));
  }
  if (events.length > 1 && (await publish(events))) return result;
  for (const event of events) {
    if (result.deliveries >= MAX_DELIVERIES_PER_TURN) break;
    if (await publish([event])) continue;
    // Whatever comes after it would take as long.
    if (result.slow) break;
  }
  return result;

  /** False where Postgres refuses it. A single one is then counted. */
  async function publish(some: OutboxEvent[]): Promise<boolean> {
    try {
      const inserted = await withPartition(pool, some[0]!.createdAt, () => insert(pool, tenantId, some));
      const { published, deliveries, cut } = inserted;
      result.published += published;
      result.deliveries += deliveries;
      result.cut ||= cut;
      return true;
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error;
      const code = error.code ?? 'unknown';
      if (some.length > 1) return false;
      result.slow = code === TIMED_OUT;
      // Written down only where the server works: an outage ends the turn here.
      result.failures.push(await fail(pool, some[0]!.row, code));
      return false;
    }
  }
}

type OutboxEvent = { row: OutboxRow; id: string; type: string; body: Buffer; createdAt: Date };

/** Undefined where the row does not hold what an event needs. */
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
    return { row, id, type: row.type, body, createdAt };
  } catch {
    return undefined;
  }
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** @throws where they are no object, or name no event */
function readDetails(text: string): Record<string, unknown> & { event_id?: string } {
  const details = JSON.parse(text);
  if (typeof details !== 'object' || details === null || Array.isArray(details)) throw new TypeError('no object');
  if (details.event_id !== undefined && !UUID.test(details.event_id)) throw new TypeError('no event');
  return details;
}

/** As a publish of a producer's event, but that it takes from the outbox, and for the bounds on its deliveries. */
const INSERT = {
  name: 'publish_operational',
  text: `
with s as materialized (
  select t.type, w.webhook_id, row_number() over (partition by t.type order by w.webhook_id) as nth
  from (select distinct type from unnest($4::text[]) t (type)) t cross join lateral (
    select distinct s.webhook_id from unnest($7::text[], $8::text[]) p (type, pattern)
    join subscriptions s on s.tenant_id = $1 and s.pattern = p.pattern where p.type = t.type
    order by s.webhook_id limit ${MAX_FAN_OUT} + 1) w),
c as materialized (select type, count(*) as deliveries from s where nth <= ${MAX_FAN_OUT} group by type),
i as materialized (
  select * from (
    select given.*, sum(coalesce(c.deliveries, 0)) over (order by place) as deliveries
    from unnest($2::uuid[], $3::uuid[], $4::text[], $5::bytea[], $6::timestamptz[])
    with ordinality as given (outbox_id, id, type, body, created_at, place) left join c using (type)) given
  where place = 1 or deliveries <= ${MAX_DELIVERIES_PER_TURN}),
o as materialized (
  delete from operational_outbox where id = any(array(
    select id from operational_outbox where id = any(array(select outbox_id from i)) and set_aside_at is null
    for update skip locked))
  returning id),
n as materialized (select i.* from i where outbox_id in (select id from o)),
e as (
  insert into events (id, tenant_id, type, body, created_at)
  select id, $1, type, body, created_at from n order by place),
d as materialized (
  select ${newDeliveryId('n.id')} as delivery_id,
    n.id as event_id, s.webhook_id, n.type, n.place
  from n join s on s.type = n.type and s.nth <= ${MAX_FAN_OUT}),
x as (
  insert into deliveries (id, tenant_id, event_id, webhook_id, event_type)
  select delivery_id, $1, event_id, webhook_id, type from d),
q as (
  insert into delivery_queue (delivery_id, tenant_id, event_id, webhook_id, event_type, priority)
  select delivery_id, $1, event_id, webhook_id, type, ${PRIORITIES.normal} from d order by place, webhook_id)
select (select count(*)::int from n) as published, (select count(*)::int from d) as deliveries,
  exists (select from s where nth > ${MAX_FAN_OUT}) as cut`,
};

type Inserted = Pick<TurnResult, 'published' | 'deliveries' | 'cut'>;

async function insert(pool: Pool, tenantId: string, events: OutboxEvent[]): Promise<Inserted> {
  const column = <K extends keyof OutboxEvent>(name: K) => events.map((event) => event[name]);
  const types = [...new Set(column('type'))];
  const pairs = types.flatMap((type) => matchingPatterns(type).map((pattern) => ({ type, pattern })));
  const values = [
    tenantId,
    events.map(({ row }) => row.id),
    ...[column('id'), column('type'), column('body'), column('createdAt')],
    pairs.map(({ type }) => type),
    pairs.map(({ pattern }) => pattern),
  ];
  return withLimit(pool, async (client) => {
    const { rows } = await client.query<Inserted>({ ...INSERT, values });
    return rows[0]!;
  });
}

/** One transaction whose statements end after {@link STATEMENT_LIMIT_MS}. */
function withLimit<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  return withConnection(pool, (client) =>
    inTransaction(client, async () => {
      await client.query(`set local statement_timeout = ${STATEMENT_LIMIT_MS}`);
      return work(client);
    }),
  );
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
export async function forgetSetAside(db: Pick<Pool, 'query'>, batch: number): Promise<number> {
  const { rowCount } = await db.query(
    `delete from operational_outbox where id = any(array(
       select id from operational_outbox where set_aside_at < now() - interval '${SET_ASIDE_KEPT_FOR}'
       order by set_aside_at limit $1 for update skip locked))`,
    [batch],
  );
  return rowCount ?? 0;
}
