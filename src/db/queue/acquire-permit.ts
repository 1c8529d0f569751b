import { sql } from 'kysely';
import type { Queryable } from '../database';
import { gateConditions } from './gate-conditions';

const gate = gateConditions('gate');
const arrivalTime = sql.raw(gate.arrivalTime);
const slotIsTaken = sql.raw(gate.slotIsTaken);

/**
 * Takes from the gate what an attempt needs that was not claimed (its timer fired, or an operator asked for it): the slot
 * of an ordered webhook, which is for its oldest delivery, and a token of a rate-limited one. False where there is none:
 * the delivery goes back to the queue, and a later claim takes it.
 */
export async function acquirePermit(
  db: Queryable,
  deliveryId: string,
  webhookId: string,
  leaseMs: number,
): Promise<boolean> {
  const { numAffectedRows } = await sql`
    update webhook_gates gate set
      slot_delivery_id = case when gate.ordered then ${deliveryId}::uuid else gate.slot_delivery_id end,
      slot_until = case when gate.ordered then now() + ${leaseMs}::int * interval '1 ms' else gate.slot_until end,
      rate_next_at = case when gate.rate_per_second is null then gate.rate_next_at else
        greatest(${arrivalTime}, now() - gate.burst * interval '1 s' / gate.rate_per_second) + interval '1 s' / gate.rate_per_second end
    where gate.webhook_id = ${webhookId} and exists (select from delivery_queue where delivery_id = ${deliveryId})
      and (gate.rate_per_second is null or ${arrivalTime} <= now() - interval '1 s' / gate.rate_per_second)
      and (not gate.ordered or gate.slot_delivery_id = ${deliveryId} or (not ${slotIsTaken} and not exists (
        select from delivery_queue own, delivery_queue older
        where own.delivery_id = ${deliveryId} and older.tenant_id = own.tenant_id and older.webhook_id = ${webhookId}
          and older.seq < own.seq and not older.timed and older.priority = any('{0,1,2}')) and not exists (
        select from delivery_queue own, delivery_queue older
        where own.delivery_id = ${deliveryId} and older.webhook_id = ${webhookId} and older.seq < own.seq and older.timed)))`.execute(
    db,
  );
  return (numAffectedRows ?? 0n) > 0n;
}
