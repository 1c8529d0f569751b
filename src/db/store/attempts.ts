import { type ExpressionBuilder, sql } from 'kysely';
import type { Queryable } from '../database';
import type { Tables } from '../tables';
import { type Found, type Part, upTo } from './scan';

/** The attempts of one delivery, newest first; of the first `count` of them, if that is given. */
export async function listAttempts(
  db: Queryable,
  tenantId: string,
  deliveryId: string,
  { limit, beforeId, count }: Part & { count?: number | undefined },
): Promise<Found<Attempt>> {
  const all = selectAttempts(db, tenantId, deliveryId);
  const query = count === undefined ? all : all.where('number', '<=', count);
  const before = beforeId
    ? query.where(
        'number',
        '<',
        sql<number>`(
        select number from attempts where delivery_id = ${deliveryId} and tenant_id = ${tenantId} and id = ${beforeId})`,
      )
    : query;
  return upTo(limit, await before.limit(limit + 1).execute());
}

function selectAttempts(db: Queryable, tenantId: string, deliveryId: string) {
  return db
    .selectFrom('attempts')
    .selectAll()
    .where('delivery_id', '=', deliveryId)
    .where('tenant_id', '=', tenantId)
    .orderBy('number', 'desc');
}

export type Attempt = Awaited<ReturnType<ReturnType<typeof selectAttempts>['execute']>>[number];

/** The last attempt of a delivery `d`, as a lateral join `a`: how it came out. */
export const lastAttempt = (eb: ExpressionBuilder<Tables & { d: Tables['deliveries'] }, 'd'>) =>
  eb
    .selectFrom('attempts as a')
    .select(['a.status_code', 'a.error_code', 'a.error_message', 'a.error_details', 'a.started_at', 'a.duration_ms'])
    .whereRef('a.delivery_id', '=', 'd.id')
    .orderBy('a.number', 'desc')
    .limit(1)
    .as('a');
