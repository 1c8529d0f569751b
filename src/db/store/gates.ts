import { sql } from 'kysely';
import type { DisabledBecause, WebhookStatus } from '../../domain/delivery';
import type { Queryable, Tx } from '../database';

/**
 * A webhook's gate: what lets its deliveries pass, and when. A change between holding and passing touches one
 * row, however many deliveries wait behind it; they stay in the queue and are claimable as soon as it passes.
 */

/** What the health signals of attempts have made of the gate. */
export type GateHealth = {
  breakerUntil: Date | null;
  throttledUntil: Date | null;
  failuresInARow: number;
  failedDeliveriesInARow: number;
  failingSince: Date | null;
  adaptiveMaxInFlight: number | null;
};

/** A slot that was taken under the other rule would never be released. */
export async function clearSlotOfOtherRule(tx: Tx, webhookId: string, ordered: boolean): Promise<void> {
  await tx
    .updateTable('webhook_gates')
    .set({ slot_delivery_id: null, slot_until: sql<Date>`'epoch'` })
    .where('webhook_id', '=', webhookId)
    .where('ordered', '<>', ordered)
    .execute();
}

/** An operator's change of a gate's status, and the statuses from which it may be made. */
export type GateMove = { to: WebhookStatus; from: readonly WebhookStatus[] };

/**
 * Changes a gate's status and returns the one before; undefined if there is no such webhook. A gate whose status is not
 * in `from` stays as it is. Becoming active clears the gate's health: the operator knows better.
 */
export async function moveGate(
  tx: Tx,
  tenantId: string,
  webhookId: string,
  { to, from }: GateMove,
): Promise<WebhookStatus | undefined> {
  const row = await tx
    .selectFrom('webhook_gates as g')
    .innerJoin('webhooks as w', 'w.id', 'g.webhook_id')
    .select('g.status')
    .where('w.tenant_id', '=', tenantId)
    .where('w.deleted_at', 'is', null)
    .where('g.webhook_id', '=', webhookId)
    .forUpdate('g')
    .executeTakeFirst();
  if (row && from.includes(row.status)) {
    await setGateStatus(tx, webhookId, to);
    // A change of the settings counts by itself; this is one of the status alone.
    const status_version = sql<number>`status_version + 1`;
    if (row.status !== to) {
      await tx.updateTable('webhook_gates').set({ status_version }).where('webhook_id', '=', webhookId).execute();
    }
  }
  return row?.status;
}

/** What the attempts of an endpoint have made of its gate, as it is at the beginning. */
const FRESH_HEALTH = {
  blocked_until: sql<Date>`'epoch'`,
  breaker_until: null,
  adaptive_cap: null,
  failures: 0,
  failures_since: null,
  failing_since: null,
  last_failure_at: null,
  failed_in_a_row: 0,
  failed_since: null,
} as const;

/**
 * Begins the gate of a webhook anew that is given another URL: all that was said of the former endpoint goes with it, and
 * so does what Posthorn concluded from that, a disabling; an operator's pause or disabling stays. So do settings, and the
 * order of an ordered webhook. Attempts under way to the former URL say nothing of the new one.
 */
export async function renewGate(tx: Tx, webhookId: string): Promise<void> {
  const concluded = sql<boolean>`(status = 'disabled' and status_reason is distinct from 'operator')`;
  await tx
    .updateTable('webhook_gates')
    .set({
      ...FRESH_HEALTH,
      url_changes: sql`url_changes + 1`,
      status: sql`case when ${concluded} then 'active' else status end`,
      status_reason: sql`case when not ${concluded} then status_reason end`,
      status_since: sql`case when ${concluded} then now() else status_since end`,
      // A probe's slot. The head of an ordered webhook keeps its own.
      slot_delivery_id: sql`case when ordered then slot_delivery_id end`,
      slot_until: sql`case when ordered then slot_until else 'epoch' end`,
    })
    .where('webhook_id', '=', webhookId)
    .execute();
}

/** Sets the status that an operator asked for. A disabled webhook is not paused: the reason would be lost. */
export async function setGateStatus(db: Queryable, webhookId: string, status: WebhookStatus): Promise<void> {
  const reason: DisabledBecause | null = status === 'disabled' ? 'operator' : null;
  await db
    .updateTable('webhook_gates')
    .set({
      status,
      status_reason: sql`case when status = ${status} then status_reason else ${reason}::text end`,
      status_since: sql`case when status = ${status} then status_since else now() end`,
      ...(status === 'active' && FRESH_HEALTH),
    })
    .where('webhook_id', '=', webhookId)
    .$if(status === 'paused', (update) => update.where('status', '<>', 'disabled'))
    .execute();
}
