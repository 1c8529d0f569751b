import { sql } from 'kysely';
import type { DisabledBecause, WebhookStatus } from '../../domain/delivery';
import type { DeliveryMode } from '../../domain/delivery-mode';
import { parseRateLimit, toTokenBucket } from '../../domain/rate-limit';
import type { Queryable, Tx } from '../database';

/**
 * A webhook's gate: what lets its deliveries through, and when. Opening and shutting it touches one row, however many
 * deliveries wait behind it; they stay where they are and are claimable as soon as it is open.
 */
export type GateSettings = {
  /** As text, such as `100/1m`. */
  rateLimit: string | null;
  maxInFlight: number | null;
  /** Null: what the installation says. */
  mode: DeliveryMode | null;
  ordered: boolean;
  /** Null: never opens. */
  breaker: { failures: number; windowMs: number; openMs: number } | null;
  /** Null: not for this reason. */
  disableAfter: { failedDeliveries: number | null; failingForMs: number | null };
};

/** What the gate has found out. */
export type GateHealth = {
  breakerUntil: Date | null;
  throttledUntil: Date | null;
  failuresInARow: number;
  failedDeliveriesInARow: number;
  failingSince: Date | null;
  adaptiveMaxInFlight: number | null;
};

/** The columns of `webhook_gates` that settings stand in. */
export function toGateColumns(settings: Partial<GateSettings>) {
  const { rateLimit, maxInFlight, mode, ordered, breaker, disableAfter } = settings;
  return {
    ...(rateLimit !== undefined && toRateColumns(rateLimit)),
    ...(maxInFlight !== undefined && { max_in_flight: maxInFlight, adaptive_cap: null }),
    ...(mode !== undefined && { mode: mode }),
    ...(ordered !== undefined && { ordered }),
    ...(breaker === null && { breaker_threshold: null, breaker_until: null }),
    ...(breaker && {
      breaker_threshold: breaker.failures,
      breaker_window_ms: breaker.windowMs,
      breaker_open_ms: breaker.openMs,
    }),
    ...(disableAfter && {
      disable_after_failed: disableAfter.failedDeliveries,
      disable_after_ms: disableAfter.failingForMs,
    }),
  };
}

function toRateColumns(rateLimit: string | null) {
  const limit = rateLimit === null ? undefined : parseRateLimit(rateLimit);
  if (!limit) return { rate_per_second: null, burst: 1 };
  const { ratePerSecond, burst } = toTokenBucket(limit);
  return { rate_per_second: ratePerSecond, burst };
}

/** A slot that was taken under the other rule would never be given back. */
export async function clearSlotOfOtherRule(tx: Tx, webhookId: string, ordered: boolean): Promise<void> {
  await tx
    .updateTable('webhook_gates')
    .set({ slot_delivery_id: null, slot_until: sql<Date>`'epoch'` })
    .where('webhook_id', '=', webhookId)
    .where('ordered', '<>', ordered)
    .execute();
}

/** Where an operator may take a gate from here, by what it is now. */
export type GateMove = { to: WebhookStatus; from: readonly WebhookStatus[] };

/**
 * Moves a gate, and answers what it was before; undefined where there is no such webhook. One that is not in a state to
 * move from stays as it is. Opening forgets what the gate has found out: the operator knows better.
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
    const moves = sql<number>`moves + 1`;
    if (row.status !== to) {
      await tx.updateTable('webhook_gates').set({ moves }).where('webhook_id', '=', webhookId).execute();
    }
  }
  return row?.status;
}

/** Opens or shuts a gate by an operator's word. One that is disabled is not paused: it would lose why. */
export async function setGateStatus(db: Queryable, webhookId: string, status: WebhookStatus): Promise<void> {
  const reason: DisabledBecause | null = status === 'disabled' ? 'operator' : null;
  await db
    .updateTable('webhook_gates')
    .set({
      status,
      status_reason: sql`case when status = ${status} then status_reason else ${reason}::text end`,
      status_since: sql`case when status = ${status} then status_since else now() end`,
      ...(status === 'active' && {
        blocked_until: sql`'epoch'`,
        breaker_until: null,
        adaptive_cap: null,
        failures: 0,
        failures_since: null,
        failing_since: null,
        last_failure_at: null,
        failed_in_a_row: 0,
      }),
    })
    .where('webhook_id', '=', webhookId)
    .$if(status === 'paused', (update) => update.where('status', '<>', 'disabled'))
    .execute();
}
