import type { Pool } from 'pg';
import { NIL_UUID } from '../../domain/ids';
import { prepareStatement } from '../prepared-statement';

/** Rows that a tenant publishes in one batch, in one statement: a few milliseconds. */
const ROWS_PER_BATCH = 20;
/** Ours are some hundred bytes. */
const MAX_DETAILS_BYTES = 64 * 1024;

export type OutboxRow = {
  id: string;
  tenantId: string;
  type: string;
  webhookId: string;
  deliveryId: string | null;
  /** JSON text; null if there is too much of it. */
  details: string | null;
  createdAt: Date;
};

/** A tenant's next rows, oldest first; none if all of them wait for their next try. */
export type TenantBatch = { tenantId: string; rows: OutboxRow[] };

/** `cursor` is the last tenant that was looked at; undefined: there are no others. */
export type Batches = { batches: TenantBatch[]; cursor: string | undefined };

/** Goes before every tenant. */
export const FIRST_TENANT = NIL_UUID;

/**
 * Finds tenants that have rows in the outbox, and what of it each may publish now. Jumps from tenant to tenant in the
 * index, however many rows each has.
 *
 * Parameters:
 * - after: the tenants follow this one
 * - tenants: how many, at most
 * - resting: these are counted, but get no rows
 * - rows_per_batch: rows of each tenant, at most
 *
 * Reads operational_outbox.
 *
 * Returns, by tenant and in the order in which they are due, a row for each row that is due; for a tenant without any a
 * row whose id is null.
 */
const NEXT_BATCHES = prepareStatement(
  'operational_batches',
  { after: 'uuid', tenants: 'int', resting: 'uuid[]', rows_per_batch: 'int' },
  `
with recursive
-- The next tenants, one jump each; the last one's id is null if there are no more.
next_tenants (tenant_id, nth) as (
  (select tenant_id, 1 from operational_outbox
   where set_aside_at is null and tenant_id > :after
   order by tenant_id limit 1)
  union all
  select (
      select o.tenant_id from operational_outbox o
      where o.set_aside_at is null and o.tenant_id > next_tenants.tenant_id
      order by o.tenant_id limit 1),
    nth + 1
  from next_tenants where next_tenants.tenant_id is not null and nth < :tenants)
select next_tenants.tenant_id as "tenantId", due.id, due.type, due.webhook_id as "webhookId",
  due.delivery_id as "deliveryId",
  case when octet_length(due.details) <= ${MAX_DETAILS_BYTES} then due.details end as details,
  due.created_at as "createdAt"
from next_tenants
-- Each tenant's rows whose next try has come, oldest first.
left join lateral (
  select id, type, webhook_id, delivery_id, details::text as details, next_try_at, created_at
  from operational_outbox o
  where next_tenants.tenant_id <> all(:resting)
    and o.tenant_id = next_tenants.tenant_id and o.set_aside_at is null and o.next_try_at <= now()
  order by next_try_at, created_at limit :rows_per_batch) due on true
where next_tenants.tenant_id is not null
order by next_tenants.tenant_id, due.next_try_at, due.created_at`,
);

/** The next rows of up to `tenants` tenants after this one; none of those that rest. */
export async function nextBatches(
  pool: Pool,
  after: string,
  tenants: number,
  resting: readonly string[] = [],
): Promise<Batches> {
  const values = { after, tenants, resting, rows_per_batch: ROWS_PER_BATCH };
  const { rows } = await pool.query<OutboxRow & { id: string | null }>(NEXT_BATCHES(values));
  const batches = new Map<string, OutboxRow[]>();
  for (const row of rows) {
    const ofTenant = batches.get(row.tenantId) ?? [];
    batches.set(row.tenantId, ofTenant);
    if (row.id !== null) ofTenant.push(row);
  }
  const found = [...batches].map(([tenantId, due]) => ({ tenantId, rows: due }));
  return { batches: found, cursor: found.length === tenants ? found.at(-1)!.tenantId : undefined };
}
